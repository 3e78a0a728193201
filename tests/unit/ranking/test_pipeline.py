from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from recsys.domain.recommend import SimilarRequest
from recsys.ranking.arrays import NeighbourLists, as_indices
from recsys.ranking.pipeline import Ranking
from recsys.ranking.signal import Asked, Recall
from recsys.ranking.similar import similar
from recsys.ranking.state import SurfaceState
from tests.support.surfaces import NOW, ask, codes, ids, item, rows, surface

DATA = rows(
    [
        item("a", "red", brand="x", price=10.0, created_at=NOW),
        item("b", "red", brand="x", price=20.0),
        item("c", "red", brand="y"),
        item("d", "blue", brand="z"),
    ],
    {"a": 4.0, "b": 3.0, "c": 2.0},
    {("a", "b"): 1.0, ("a", "d"): 1.0},
)


def test_an_empty_surface_has_no_items() -> None:
    assert ids(ask(surface(rows()))) == []


def test_items_without_popularity_fill_the_list() -> None:
    assert ids(ask(surface(DATA))) == ["a", "b", "c", "d"]


def test_equal_scores_by_code_point() -> None:
    assert ids(ask(surface(rows([item("b"), item("B"), item("é"), item("a")])))) == ["B", "a", "b", "é"]


@pytest.mark.parametrize(
    ("constraints", "left"),
    [
        ({"required_tags": ["red", "brand:x"]}, ["a", "b"]),
        ({"forbidden_tags": ["red"]}, ["d"]),
        ({"price_min": 10, "price_max": 10}, ["a"]),
        ({"created_after": "2026-02-01T00:00:00Z"}, ["a"]),
        ({"created_after": NOW.isoformat()}, []),
        ({"required_tags": ["nobody has it"]}, []),
        ({"max_per_tag": {"red": 1}}, ["a", "d"]),
    ],
    ids=["tags", "forbidden", "price", "created", "created then", "unknown tag", "per tag"],
)
def test_constraints(constraints: dict[str, Any], left: list[str]) -> None:
    assert ids(ask(surface(DATA), constraints=constraints)) == left


def test_constraints_warn_when_they_left_something_out() -> None:
    assert codes(ask(surface(DATA), constraints={"forbidden_tags": ["blue"]})) == ["CONSTRAINTS_FILTERED"]
    assert codes(ask(surface(DATA), constraints={"required_tags": ["blue"]})) == ["CONSTRAINTS_FILTERED"]
    assert codes(ask(surface(DATA), constraints={"forbidden_tags": ["green"]})) == []


def test_a_list_is_filled_beyond_the_fanout() -> None:
    state = surface(DATA, {"limits": {"fanout": 1}, "diversity": {"brand_cap": 1}})
    assert ids(ask(state, k=3)) == ["a", "c", "d"]


def test_included_ids_are_the_only_candidates() -> None:
    found = ask(surface(DATA), candidates={"include_ids": ["d", "b", "zz"]})
    assert ids(found) == ["b", "d"]
    assert codes(found) == ["CANDIDATES_INCLUDE_FILTERED"]
    assert codes(ask(surface(DATA), candidates={"include_ids": ["zz"]})) == [
        "CANDIDATES_INCLUDE_FILTERED",
        "CANDIDATES_INCLUDE_EMPTY",
    ]


def test_anchors_are_not_answered_and_unknown_ones_are_said() -> None:
    found = ask(surface(DATA), anchors={"item_ids": ["a", "zz"]})
    assert "a" not in ids(found)
    assert codes(found) == ["SIGNAL_PARTIAL"]


def test_pins_count_toward_caps_but_are_not_capped() -> None:
    pins = [{"action": "pin", "target_type": "item", "item_ids": ["b", "a"]}]
    assert ids(ask(surface(DATA, {"diversity": {"brand_cap": 1}}, pins))) == ["b", "a", "c", "d"]
    one = [{"action": "pin", "target_type": "item", "item_ids": ["b"]}]
    assert ids(ask(surface(DATA, {"diversity": {"brand_cap": 1}}, one))) == ["b", "c", "d"]


def test_mmr_prefers_what_is_unlike_the_chosen() -> None:
    state = surface(DATA, {"diversity": {"mmr_lambda": 0.5}}, [])
    # s_max = 4/5; first a. b: 0.5·(3/4)/(4/5) − 0.5·Jaccard{red,x} 1 = −0.03; c: 0.5·(2/3)/(4/5) − 0.5·1/3 = 0.25
    assert ids(ask(state, k=2)) == ["a", "c"]
    # d: 0 − 0.5·0 = 0 is still better than b
    assert ids(ask(state, k=3)) == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("item_id", "outcome"),
    [
        ("zz", "unknown"),
        ("d", "excluded"),
        ("n", "anchor"),
        ("k", "blocked"),
        ("c", "constrained"),
        ("b", "capped"),
        ("e", "below_top_k"),
        ("f", "not_a_candidate"),
        ("a", "answered"),
    ],
)
def test_where_an_item_fell_out(item_id: str, outcome: str) -> None:
    data = rows(
        [item("a", brand="x"), item("b", brand="x"), item("c", "bad"), *map(item, "defkn")],
        {"a": 9.0, "b": 8.0, "c": 7.0, "d": 6.0, "e": 1.0, "k": 6.0},
    )
    rules = [{"id": "no-k", "action": "block", "target_type": "item", "target_key": "k"}]
    found = ask(
        surface(data, {"limits": {"fanout": 3}, "diversity": {"brand_cap": 1}}, rules),
        k=1,
        anchors={"item_ids": ["n"]},
        candidates={"exclude_ids": ["d"]},
        constraints={"forbidden_tags": ["bad"]},
        options={"explain_item": item_id},
    )
    assert found.explain_item is not None
    assert found.explain_item["outcome"] == outcome
    if outcome == "blocked":
        assert found.explain_item["detail"] == "Blocked by no-k."


def test_why_not_says_that_no_rule_is_in_force() -> None:
    rules = [{"action": "pin", "target_type": "item", "item_ids": ["b"]}]
    data = rows([item("a"), item("b")], {"a": 9.0, "b": 8.0})
    for enabled, said in ((False, " No rule is in force here: flags.enable_rules is false."), (True, "In the answer.")):
        found = ask(surface(data, {"flags": {"enable_rules": enabled}}, rules), k=1, options={"explain_item": "b"})
        assert found.explain_item is not None
        assert found.explain_item["detail"].endswith(said)


def test_full_explanations_show_raw_normalised_and_rules() -> None:
    rules = [{"id": "up", "action": "boost", "target_type": "item", "target_key": "d", "boost_value": 1.0}]
    options = {"explain": "full", "include_reasons": True, "include_trace": True}
    found = ask(surface(DATA, rules=rules), anchors={"item_ids": ["a"]}, options=options)
    first = found.items[0]  # b: 3/4 + 0.5 · 1/2 = 1.0; d: 0.25 · 2
    assert first.item_id == "b"
    assert first.reasons == ["bought with a", "popular"]
    assert first.explain is not None
    assert first.explain.signals["cooc"] == {"raw": 1.0, "normalised": 0.5, "weight": 0.5, "contribution": 0.25}
    last = next(each for each in found.items if each.item_id == "d")
    assert last.reasons == ["boosted by up", "bought with a"]
    assert last.explain is not None
    assert last.explain.rules == ["up"]
    assert last.explain.signals["boost"] == 0.25
    assert found.trace is not None
    assert found.trace["sources"]["neighbours"] == 2


def test_summary_contributions_add_up_to_the_score() -> None:
    found = ask(surface(DATA), anchors={"item_ids": ["a"]}, options={"explain": "summary"})
    for each in found.items:
        assert each.explain is not None
        assert sum(each.explain.signals.values()) == each.score


def ask_similar(state: SurfaceState, **fields: Any) -> Ranking:
    return similar(state, msgspec.convert({"surface": "home"} | fields, SimilarRequest), NOW)


def test_a_signal_that_has_no_lists_puts_in_one_row_of_what_it_found() -> None:
    class Fixed:
        def recall(self, asked: Asked, found: Recall) -> None:
            del asked
            one = NeighbourLists(np.array([0, 2]), as_indices([1, 3]), np.array([1.0, 3.0]))
            found.rows(one, as_indices([0]), np.ones(1))

    state = surface(DATA)
    state = replace(state, sources={**state.sources, "collab": Fixed()})
    found = ask(state, algorithm="implicit")
    assert [(each.item_id, each.score) for each in found.items[:2]] == [("d", 3 / 4), ("b", 1 / 2)]


def test_similar_items_by_cooc_then_tags() -> None:
    found = ask_similar(surface(DATA), item_id="a")
    # b: 1/2 + 0.1 · 2/2 (red, brand:x); d: 1/2 + 0; c: 0 + 0.1 · 1/3
    assert [(each.item_id, each.score) for each in found.items] == [("b", 0.6), ("d", 0.5), ("c", 0.1 * (1 / 3))]


def test_similar_obeys_blocks_and_constraints() -> None:
    blocked = [{"action": "block", "target_type": "item", "target_key": "b"}]
    assert ids(ask_similar(surface(DATA, rules=blocked), item_id="a")) == ["d", "c"]
    assert ids(ask_similar(surface(DATA), item_id="a", constraints={"required_tags": ["red"]})) == ["b", "c"]


def test_similar_goes_on_past_the_fanout_where_caps_leave_the_list_short() -> None:
    rare, common = [item(f"a{n}", "rare") for n in range(5)], [item(f"b{n}", "common") for n in range(9)]
    state = surface(rows([item("q", "rare", "common"), *rare, *common]), {"limits": {"fanout": 4}})
    found = ask_similar(state, item_id="q", k=4, constraints={"max_per_tag": {"rare": 1}})
    assert ids(found) == ["a0", "b0", "b1", "b2"]
    assert found.counts["candidates"] == 14
    assert ask_similar(state, item_id="q", k=4).counts["candidates"] == 5, "without caps the first are enough"


def test_similar_to_an_unknown_item_is_empty_with_a_warning() -> None:
    found = ask_similar(surface(DATA), item_id="zz")
    assert (ids(found), codes(found)) == ([], ["SIGNAL_UNAVAILABLE"])


def test_the_smallest_scores_there_are_keep_their_order() -> None:
    """1/s_max is infinite below 2⁻¹⁰²⁴."""
    state = surface(rows(popular={"a": 1.0, "b": 2.0}), {"diversity": {"mmr_lambda": 0.5}})
    assert ids(ask(state, weights={"pop": 1e-310})) == ["b", "a"]
