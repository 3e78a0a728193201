"""The states of one surface: what combinations of variants share, and which of them are kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from recsys.domain.config import Config, Variant
from recsys.domain.history import Pointers
from recsys.ranking.pipeline import rank
from recsys.serving.snapshot import DocumentPart, build_part
from recsys.serving.surface import ServedSurface
from tests.support.surfaces import NOW, ids, request, rows

DATA = rows([], {"a": 2.0, "b": 1.0}, {("a", "b"): 1.0})


def served(configs: list[dict[str, Any]]) -> tuple[ServedSurface, list[Variant]]:
    """A surface with three variants per experiment, one for each of these configs, and the variants."""
    variants = [{"name": f"v{at}", "config": each} for at, each in enumerate(configs)]
    experiments = [{"id": f"x{at}", "variants": variants[at : at + 3]} for at in range(0, len(variants), 3)]
    documents = DocumentPart(1, Pointers(), msgspec.convert({"experiments": experiments}, Config), ())
    known = [variant for each in documents.config.experiments or [] for variant in each.variants]
    return ServedSurface("home", documents, build_part(DATA), NOW), known


@pytest.mark.parametrize(
    ("config", "shared"),
    [
        ({"weights": {"pop": 3}}, True),
        ({"diversity": {"mmr_lambda": 0.5}}, True),
        ({"limits": {"max_k": 1}}, True),
        ({"flags": {"enable_rules": True}}, True),
        ({"flags": {"enable_rules": False}}, False),
        ({"limits": {"fanout": 7}}, False),
        ({"diversity": {"brand_cap": 1}}, False),
        ({"diversity": {"category_cap": 1}}, False),
        ({"popularity": {"half_life_days": 1}}, False),
    ],
)
def test_variants_share_the_compiled_rules_unless_they_are_made_from_what_differs(
    config: dict[str, Any], *, shared: bool
) -> None:
    """They have numbers for every item, and eight experiments of two variants make 256 combinations."""
    surface, variants = served([config, {"algorithm": "cooc"}])
    assert (surface.state((variants[0],)).rules is surface.state().rules) is shared
    assert surface.state(tuple(variants)).rules is surface.state((variants[0],)).rules


def test_variants_that_share_rules_do_not_share_answers() -> None:
    surface, (variant,) = served([{"limits": {"max_pins": 1}, "weights": {"pop": 3.0}}])
    plain, other = (rank(state, request(), NOW) for state in (surface.state(), surface.state((variant,))))
    assert ids(plain) == ids(other) == ["a", "b"]
    assert [each.score for each in other.items] == [3.0 * each.score for each in plain.items]


def test_the_least_recently_asked_for_goes_and_never_the_surface_without_variants() -> None:
    surface, variants = served([{"weights": {"pop": at}} for at in range(300)])
    plain, often = surface.state(), surface.state((variants[0],))
    for variant in variants[1:]:
        assert surface.state((variant,)).settings.weights == variant.config.weights
        assert surface.state((variants[0],)) is often
    assert surface.state() is plain
