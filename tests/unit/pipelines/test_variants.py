"""The same events in several ways, each as serving would see it."""

from pathlib import Path

import msgspec
import pytest

from recsys.pipelines.errors import PipelineError
from recsys.pipelines.place import Place
from recsys.pipelines.settings import Cooc, Implicit, PipelineSettings
from recsys.pipelines.variants import VariantSignals, read_events, variants
from tests.support.pipeline import WINDOW, Bench, inputs, random_events


def test_what_is_given_comes_first_and_everything_else_of_it_stays() -> None:
    own = PipelineSettings(cooc=Cooc(weighting="cosine", neighbours=7), implicit=Implicit(method="als", items=5))
    found = variants(own)
    names = list(found)
    assert names[0] == ("cosine", "als")
    assert found[names[0]] == own
    assert {name for name, _ in names} == {
        "count",
        "cosine",
        *(f"rp3beta-{b}" for b in ("0", "0.2", "0.4", "0.6", "0.8", "1")),
    }
    assert {name for _, name in names} == {"rp3beta", "rp3beta-repeats", "als", "als-repeats"}
    assert {each.cooc.neighbours for each in found.values()} == {7}
    assert {each.implicit.items for each in found.values()} == {5}
    restored = msgspec.structs.replace(found["count", "rp3beta"], cooc=own.cooc, implicit=own.implicit)
    assert restored == own


def test_variants_differ_in_what_they_are_named_after_and_in_nothing_else(bench: Bench, tmp_path: Path) -> None:
    given = inputs(bench.engine, [bench.events(*random_events(500, seed=5))])
    signals = VariantSignals(Place(tmp_path), given, "home", variants(given.settings))
    first = signals["rp3beta-0.6", "rp3beta"]
    other = signals["count", "rp3beta"]
    assert list(first.ids) == list(other.ids)
    assert first.cooc.values.tolist() != other.cooc.values.tolist()
    assert first.collab is not None
    assert other.collab is not None
    assert first.collab.lists.values.tolist() == other.collab.lists.values.tolist()
    again = VariantSignals(Place(tmp_path), given, "home", variants(given.settings))["rp3beta-0.6", "rp3beta"]
    assert again.cooc.values.tolist() == first.cooc.values.tolist()
    assert given.settings == PipelineSettings()


def test_days_without_events_are_told(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="There are no events from 2026-01-01"):
        read_events(Place(tmp_path), WINDOW, None)
