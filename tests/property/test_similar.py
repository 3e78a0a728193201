"""What holds for the items like one item, whatever the surface, rules and constraints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.domain.recommend import SimilarRequest
from recsys.domain.validation import convert
from recsys.ranking.similar import similar
from tests.support.cases import IDS, TAGS, Case, cases
from tests.support.surfaces import NOW, ids

_caps: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"max_per_tag": st.dictionaries(st.sampled_from(TAGS), st.integers(0, 2), min_size=1, max_size=2)},
    optional={"forbidden_tags": st.lists(st.sampled_from(TAGS), max_size=1)},
)


@given(case=cases(), of=st.sampled_from(IDS), k=st.integers(1, 5), constraints=_caps)
@settings(max_examples=500, deadline=None)
def test_a_list_is_short_only_when_nothing_related_fits(
    case: Case, of: str, k: int, constraints: dict[str, Any]
) -> None:
    """Related: seen together with the item, or sharing a tag; what fits is neither filtered out nor above a cap."""
    wish: dict[str, Any] = {"k": k, "constraints": constraints}
    case = replace(case, config=case.config | {"limits": {"fanout": 1}, "diversity": {}, "exclude": {}}, wish=wish)
    asked = convert({"surface": "home", "item_id": of} | wish, SimilarRequest)
    answer, reference = ids(similar(case.state(), asked, NOW)), case.reference()
    tags, full = set(reference.tags(of)), reference.full_tags(answer)
    fitting = {
        name
        for name in reference.universe
        if (name in reference.pairs.get(of, {}) or tags.intersection(reference.tags(name)))
        and name != of
        and reference.eligible(name)
        and not full.intersection(reference.tags(name))
    }
    assert len(answer) == k or fitting <= set(answer)
