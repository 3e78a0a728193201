"""What holds for every surface, config, set of rules and request."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.ranking.pipeline import Ranking
from tests.support.cases import IDS, TAGS, USERS, Case, cases
from tests.support.crowded import Crowd
from tests.support.reference import Fed
from tests.support.surfaces import ask, ids

EXPLAIN: list[dict[str, Any]] = [
    {"explain": "summary"},
    {"explain": "full"},
    {"include_reasons": True},
    {"include_trace": True},
    {"explain": "full", "include_reasons": True, "include_trace": True},
]


def pairs(found: Ranking) -> list[tuple[str, float]]:
    return [(each.item_id, each.score) for each in found.items]


@given(case=cases())
@settings(max_examples=1000, deadline=None)
def test_the_answer_is_that_of_the_reference_to_the_last_bit(case: Case) -> None:
    assert pairs(case.ask()) == case.reference().answer()


@given(case=cases())
@settings(max_examples=300, deadline=None)
def test_only_eligible_items_once_each_with_dense_ranks(case: Case) -> None:
    found, reference = case.ask(), case.reference()
    answer = ids(found)
    assert all(reference.eligible(name) for name in answer)
    assert len(set(answer)) == len(answer) <= reference.request.k
    assert [each.rank for each in found.items] == list(range(1, len(answer) + 1))
    assert all(each.score >= 0 for each in found.items)


@given(case=cases())
@settings(max_examples=300, deadline=None)
def test_pins_come_first_in_the_order_of_the_rules_then_scores_then_ids(case: Case) -> None:
    found, pins = case.ask(), case.reference().pins
    assert ids(found)[: len(pins)] == pins
    assert found.counts["pinned"] == len(pins)
    rest = pairs(found)[len(pins) :]
    assert rest == sorted(rest, key=lambda pair: (-pair[1], pair[0]))


@given(case=cases())
@settings(max_examples=300, deadline=None)
def test_a_list_is_short_only_when_nothing_more_fits(case: Case) -> None:
    """No item is left out of a short list unless a filter or a cap forbids it, or ``include_ids`` does not name it."""
    answer, reference = ids(case.ask()), case.reference()
    if len(answer) == reference.request.k:
        return
    included = reference.request.candidates.include_ids
    full = reference.full_tags(answer)
    for name in reference.universe:
        if name not in answer and (included is None or name in included) and reference.eligible(name):
            assert full.intersection(reference.tags(name)), name


@given(case=cases())
@settings(max_examples=300, deadline=None)
def test_caps_hold_for_all_but_pins(case: Case) -> None:
    answer, reference = ids(case.ask()), case.reference()
    for tag in {tag for name in answer for tag in reference.tags(name)}:
        cap = reference.cap(tag)
        carrying = [name for name in answer if tag in reference.tags(name)]
        pinned = sum(name in reference.pins for name in carrying)
        assert cap is None or len(carrying) <= max(cap, pinned)


@given(case=cases(), seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_the_order_of_rows_does_not_matter(case: Case, seed: int) -> None:
    mixed = case.shuffled(random.Random(seed))
    assert msgspec.json.encode(case.ask().items) == msgspec.json.encode(mixed.ask().items)


@pytest.mark.parametrize("options", EXPLAIN, ids=["summary", "full", "reasons", "trace", "all"])
@given(case=cases(), item_id=st.none() | st.sampled_from(IDS))
@settings(max_examples=100, deadline=None)
def test_explaining_never_changes_the_answer(options: dict[str, Any], case: Case, item_id: str | None) -> None:
    plain, explained = case.ask(), case.ask(options=options | ({"explain_item": item_id} if item_id else {}))
    assert [(each.rank, *pair) for each, pair in zip(plain.items, pairs(plain), strict=True)] == [
        (each.rank, *pair) for each, pair in zip(explained.items, pairs(explained), strict=True)
    ]
    assert (plain.counts, plain.warnings) == (explained.counts, explained.warnings)
    if item_id is not None:
        assert explained.explain_item is not None
        assert (explained.explain_item["outcome"] == "answered") == (item_id in ids(plain))


@given(case=cases())
@settings(max_examples=100, deadline=None)
def test_an_answer_does_not_depend_on_what_was_asked_before(case: Case) -> None:
    state = case.state()
    first = ask(state, **case.wish)
    ask(state, segment="other", k=3)
    assert msgspec.json.encode(ask(state, **case.wish).items) == msgspec.json.encode(first.items)


@given(seed=st.integers(0, 2**63), k=st.integers(1, 4), mmr_lambda=st.sampled_from([None, 0.05, 0.3, 0.7]))
@settings(max_examples=40, deadline=None)
def test_where_far_more_is_found_than_asked_for_the_answer_is_still_that_of_the_reference(
    seed: int, k: int, mmr_lambda: float | None
) -> None:
    """So many candidates that only the best are sorted at first; likeness and caps often make the others' turn come."""
    chance = random.Random(seed)
    names = [f"i{number:03}" for number in range(chance.choice([56, 110, 240, 240]))]
    crowd = Crowd(chance, names, [*TAGS, *(f"t{number}" for number in range(chance.choice([1, 30])))], USERS)
    diversity = {"mmr_lambda": mmr_lambda, "brand_cap": chance.choice([None, 1]), "category_cap": None}
    cap = chance.choice([{}, {"constraints": {"max_per_tag": dict.fromkeys(TAGS[:4], 1)}}])
    wish = crowd.wish() | {"k": k, "anchors": {"item_ids": chance.sample(names, 4)}} | cap
    case = Case(
        crowd.data(), Fed(), crowd.config() | {"diversity": diversity, "limits": {"fanout": 500}}, crowd.rules(), wish
    )
    assert pairs(case.ask()) == case.reference().answer()
