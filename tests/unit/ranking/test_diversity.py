"""Golden vectors of choosing: maximal marginal relevance and caps, worked out by hand and read off the answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.surfaces import ask, ids, item, rows, surface

DATA = rows(
    [item("a", "p", "q"), item("b", "p", "q"), item("c", "p", "r"), item("d", "s"), item("e")],
    {"a": 4.0, "b": 3.0, "c": 1.0, "d": 0.25, "e": 0.0},
)
"""Scores 4/5, 3/4, 1/2, 1/5, 0. Jaccard: a–b 2/2, a–c and b–c 1/3, all others 0."""


def chosen(mmr_lambda: float | None, k: int, rules: list[dict[str, Any]] | None = None) -> list[str]:
    config = {} if mmr_lambda is None else {"diversity": {"mmr_lambda": mmr_lambda}}
    return ids(ask(surface(DATA, config, rules), k=k))


def pin(item_id: str) -> list[dict[str, Any]]:
    return [{"action": "pin", "target_type": "item", "target_key": item_id}]


def test_without_lambda_or_with_0_the_best_are_chosen() -> None:
    assert chosen(None, 2) == chosen(0, 2) == ["a", "b"]


def test_lambda_1_is_relevance_alone() -> None:
    assert chosen(1, 2) == ["a", "b"]


def test_mmr_weighs_relevance_against_likeness() -> None:
    """λ = 1/2, s_max = 4/5; a (1/2) is first.

    Then b: 1/2·(3/4)/(4/5) − 1/2·1 = −0.03; c: 1/2·(1/2)/(4/5) − 1/2·1/3 = 0.146; d: 1/2·(1/5)/(4/5) − 0 = 0.125;
    e: 0. So c; then d (b is still as like a as before); then e (0 > −0.03), then b.
    """
    assert chosen(0.5, 2) == ["a", "c"]
    assert chosen(0.5, 3) == ["a", "c", "d"]
    assert chosen(0.5, 4) == ["a", "c", "d", "e"]
    assert chosen(0.5, 5) == ["a", "b", "c", "d", "e"]


def test_mmr_decides_who_is_in_and_the_score_in_which_order() -> None:
    """λ = 0.3: a; then d: 0.3·(1/5)/(4/5) = 0.075 before e: 0, and c: 0.3·5/8 − 0.7/3 < 0. In the list, d precedes e.

    With k = 4, c (−0.046) comes in before b (0.28 − 0.7) as the last one, and stands second by its score.
    """
    assert chosen(0.3, 3) == ["a", "d", "e"]
    assert chosen(0.3, 4) == ["a", "c", "d", "e"]


def test_what_is_pinned_counts_as_chosen_and_not_as_the_best_score() -> None:
    """a is pinned, so s_max is b's 3/4. λ = 1/2.

    b: 1/2·1 − 1/2·1 = 0; c: 1/2·(1/2)/(3/4) − 1/2·1/3 = 1/6; d: 1/2·(1/5)/(3/4) = 0.133; so c. Of b and e, both 0 once d
    is in as well, b has the higher score.
    """
    assert chosen(0.5, 2, pin("a")) == ["a", "c"]
    assert chosen(0.5, 4, pin("a")) == ["a", "b", "c", "d"]


def test_of_equal_gains_the_higher_score_then_the_lower_id_is_chosen() -> None:
    """λ = 1/2; e (tagless) is pinned and like nobody.

    a: 1/2·1 = 1/2 and then, as b's likeness to a is 1: b: 1/2·(3/4)/(3/4) − 1/2 = 0, equal to y and z with 0 − 0.
    """
    data = rows(
        [item("a", "p"), item("b", "p"), item("y", "s"), item("z", "t"), item("e")], {"a": 3.0, "b": 3.0, "e": 9.0}
    )
    state = surface(data, {"diversity": {"mmr_lambda": 0.5}}, pin("e"))
    assert ids(ask(state, k=3)) == ["e", "a", "b"]
    assert ids(ask(state, k=4)) == ["e", "a", "b", "y"]


def test_where_no_score_is_above_0_only_likeness_counts() -> None:
    """s_max = 0: a (lowest id) first, then c (0) rather than b (−1/2·1)."""
    data = rows([item("a", "p"), item("b", "p"), item("c", "q")])
    assert ids(ask(surface(data, {"diversity": {"mmr_lambda": 0.5}}), k=2)) == ["a", "c"]


@pytest.mark.parametrize(
    ("diversity", "fields", "left"),
    [
        ({"brand_cap": 1}, {}, ["a", "c", "d"]),
        ({"category_cap": 1}, {}, ["a", "b", "d"]),
        ({"brand_cap": 1, "category_cap": 1}, {}, ["a", "d"]),
        ({}, {"constraints": {"max_per_tag": {"brand:x": 1}}}, ["a", "c", "d"]),
        ({"brand_cap": 2}, {"constraints": {"max_per_tag": {"brand:x": 1}}}, ["a", "c", "d"]),
        ({"brand_cap": 1}, {"constraints": {"max_per_tag": {"brand:x": 2}}}, ["a", "c", "d"]),
        ({}, {"constraints": {"max_per_tag": {"brand:x": 0}}}, ["c", "d"]),
        ({}, {"constraints": {"max_per_tag": {"other": 1}}}, ["a", "b", "c", "d"]),
    ],
)
def test_caps(diversity: dict[str, Any], fields: dict[str, Any], left: list[str]) -> None:
    """a and b are of brand x, c of y; a and c are of one category, b of another."""
    data = rows(
        [
            item("a", brand="x", category="shoes"),
            item("b", brand="x", category="hats"),
            item("c", brand="y", category="shoes"),
            item("d"),
        ],
        {"a": 4.0, "b": 3.0, "c": 2.0},
    )
    assert ids(ask(surface(data, {"diversity": diversity}), **fields)) == left


def test_a_list_is_refilled_past_the_fanout_as_long_as_something_fits() -> None:
    """fanout 2 draws x1 and x2, of which the cap leaves one; 8 draws x8, and 32 reaches y and z."""
    brand = [item(f"x{at}", brand="x") for at in range(1, 9)]
    data = rows([*brand, item("y"), item("z")], {f"x{at}": 20.0 - at for at in range(1, 9)})
    state = surface(data, {"limits": {"fanout": 2}, "diversity": {"brand_cap": 1}})
    assert ids(ask(state, k=3)) == ["x1", "y", "z"]
    assert ids(ask(state, k=9)) == ["x1", "y", "z"]
