"""What holds where the user is known: by a list of his own, by what he did lately, by what he is done with."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cases import Case, cases
from tests.support.surfaces import ids


@given(case=cases(known_users=True))
@settings(max_examples=1000, deadline=None)
def test_the_answer_is_that_of_the_reference_to_the_last_bit(case: Case) -> None:
    assert [(each.item_id, each.score) for each in case.ask().items] == case.reference().answer()


@given(case=cases(known_users=True))
@settings(max_examples=300, deadline=None)
def test_nothing_that_the_user_is_done_with_is_answered_not_even_pinned(case: Case) -> None:
    reference, answer = case.reference(), ids(case.ask())
    assert reference.done.isdisjoint(answer)
    assert all(reference.eligible(name) for name in answer)


@given(case=cases(known_users=True))
@settings(max_examples=300, deadline=None)
def test_a_list_is_short_only_when_nothing_more_fits(case: Case) -> None:
    answer, reference = ids(case.ask()), case.reference()
    if len(answer) < reference.request.k and reference.request.candidates.include_ids is None:
        full = reference.full_tags(answer)
        left = [name for name in reference.universe if name not in answer and reference.eligible(name)]
        assert all(full.intersection(reference.tags(name)) for name in left)


@given(case=cases(known_users=True))
@settings(max_examples=200, deadline=None)
def test_a_stranger_is_answered_like_nobody_in_particular(case: Case) -> None:
    stranger = replace(case, subject="stranger").ask()
    assert msgspec.json.encode(stranger.items) == msgspec.json.encode(replace(case, subject=None).ask().items)


@given(case=cases(known_users=True), seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_the_order_of_loads_does_not_matter(case: Case, seed: int) -> None:
    mixed = case.shuffled(random.Random(seed))
    assert msgspec.json.encode(case.ask().items) == msgspec.json.encode(mixed.ask().items)


@given(case=cases(known_users=True))
@settings(max_examples=100, deadline=None)
def test_explaining_never_changes_the_answer(case: Case) -> None:
    plain = case.ask()
    explained = case.ask(options={"explain": "full", "include_reasons": True, "include_trace": True})
    assert [(each.item_id, each.score) for each in plain.items] == [
        (each.item_id, each.score) for each in explained.items
    ]
    assert plain.counts == explained.counts
