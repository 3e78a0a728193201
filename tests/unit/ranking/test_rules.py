from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.surfaces import NOW, ask, codes, ids, item, rows, surface

DATA = rows(
    [item("a", "red", price=1.0), item("b", "red"), item("c", "blue"), item("d", brand="acme")],
    {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0},
)


def rule(action: str, target: str, key: str, **more: Any) -> dict[str, Any]:
    more = {"boost_value": 1.0} | more if action == "boost" else more
    return {"action": action, "target_type": target, "target_key": key} | more


def answer(*rules: dict[str, Any], **fields: Any) -> list[str]:
    return ids(ask(surface(DATA, rules=list(rules)), **fields))


def test_without_rules_by_popularity() -> None:
    assert answer() == ["a", "b", "c", "d"]


def test_a_pin_beats_a_boost_whatever_the_priorities() -> None:
    assert answer(rule("boost", "item", "a", boost_value=9.0, priority=9), rule("pin", "item", "d"))[0] == "d"


def test_a_block_beats_a_pin_whatever_the_priorities() -> None:
    assert answer(rule("pin", "item", "d", priority=9), rule("block", "item", "d")) == ["a", "b", "c"]


def test_pins_by_priority_then_document_order() -> None:
    pins = [rule("pin", "item", "b"), rule("pin", "item", "c"), rule("pin", "item", "d", priority=1)]
    assert answer(*pins) == ["d", "b", "c", "a"]


def test_pins_of_one_rule_in_the_order_listed() -> None:
    assert answer({"action": "pin", "target_type": "item", "item_ids": ["d", "c"]})[:2] == ["d", "c"]


def test_pins_of_a_tag_by_popularity() -> None:
    assert answer(rule("pin", "tag", "red", max_pins=1), rule("pin", "item", "d"))[:2] == ["a", "d"]


def test_max_pins_of_the_rule_counts_eligible_items() -> None:
    pinned = {"action": "pin", "target_type": "item", "item_ids": ["c", "d"], "max_pins": 1}
    assert answer(pinned, candidates={"exclude_ids": ["c"]})[0] == "d"
    assert answer(pinned)[:2] == ["c", "a"]


def test_max_pins_in_all() -> None:
    pins = [rule("pin", "item", name) for name in "dcba"]
    assert answer(*pins) == ["d", "c", "b", "a"]
    state = surface(DATA, {"limits": {"max_pins": 1}}, pins)
    assert ids(ask(state)) == ["d", "a", "b", "c"]
    assert ids(ask(state, k=1)) == ["d"]


@pytest.mark.parametrize(
    "fields",
    [
        {"candidates": {"exclude_ids": ["d"]}},
        {"constraints": {"required_tags": ["red"]}},
        {"constraints": {"forbidden_tags": ["brand:acme"]}},
        {"constraints": {"max_per_tag": {"brand:acme": 0}}},
        {"constraints": {"price_min": 0}},
        {"constraints": {"created_after": "2020-01-01T00:00:00Z"}},
        {"anchors": {"item_ids": ["d"]}},
    ],
    ids=["excluded", "required", "forbidden", "none of", "no price", "no date", "anchor"],
)
def test_a_pin_never_brings_an_item_back(fields: dict[str, Any]) -> None:
    assert "d" not in answer(rule("pin", "item", "d"), **fields)


def test_pins_are_injected_beside_included_candidates_and_say_so() -> None:
    found = ask(surface(DATA, rules=[rule("pin", "item", "d")]), candidates={"include_ids": ["b"]})
    assert ids(found) == ["d", "b"]
    assert codes(found) == ["RULE_PIN_INJECTED"]


def test_unknown_items_are_skipped() -> None:
    assert answer(rule("pin", "item", "zz"), rule("block", "tag", "zz")) == ["a", "b", "c", "d"]


def test_windows_are_half_open() -> None:
    later, soon = NOW + timedelta(hours=1), NOW + timedelta(seconds=1)
    timed = rule("block", "item", "a", valid_from=NOW.isoformat(), valid_until=later.isoformat())
    state = surface(DATA, rules=[timed])
    before = NOW - timedelta(microseconds=1)
    assert [("a" in ids(ask(state, now))) for now in (before, NOW, soon, later)] == [True, False, False, True]


def test_segments_surfaces_and_switches() -> None:
    vip = rule("block", "item", "a", segment="vip")
    assert "a" in answer(vip)
    assert "a" not in answer(vip, segment="vip")
    assert "a" in answer(rule("block", "item", "a", surface="pdp"))
    assert "a" in answer(rule("block", "item", "a", enabled=False))
    assert "a" in ids(ask(surface(DATA, {"flags": {"enable_rules": False}}, [rule("block", "item", "a")])))


def test_a_brand_is_its_tag() -> None:
    assert answer(rule("block", "brand", "acme")) == ["a", "b", "c"]


def test_a_negative_boost_buries() -> None:
    assert answer(rule("boost", "tag", "red", boost_value=-1.0)) == ["c", "d", "a", "b"]


def test_a_boosted_item_is_a_candidate_beyond_the_fanout() -> None:
    state = surface(DATA, {"limits": {"fanout": 1}}, [rule("boost", "item", "d", boost_value=9.0)])
    assert ids(ask(state, k=2)) == ["d", "a"]


def test_of_more_boosted_items_than_the_fanout_those_that_promise_most_are_candidates() -> None:
    """c: 0 + 1.5 = 1.5; d: 9/10·(1 + 1) = 1.8. So d is drawn, though c's boost is larger; p is the most popular one."""
    data = rows([item("c")], {"p": 99.0, "d": 9.0})
    boosts = [rule("boost", "item", "c", boost_value=1.5), rule("boost", "item", "d", boost_value=1.0)]
    assert ids(ask(surface(data, {"limits": {"fanout": 1}}, boosts), k=2)) == ["d", "p"]
