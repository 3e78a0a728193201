"""Golden vectors: every formula of a score worked out by hand beside the assertion, and read off the answer."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from recsys.ranking.scores import norm, norm_one
from tests.support.surfaces import ask, codes, ids, item, rows, scores, surface

LOADED = rows(popular={"a": 3.0, "b": 1.0}, cooc={("x", "b"): 3.0, ("x", "c"): 1.0, ("y", "c"): 4.0})
HALF = rows(popular={"a": 1.0, "b": 1.0})
"""Two items whose score is norm(1) = 1/2."""


def explained(state: Any, item_id: str, **fields: Any) -> dict[str, Any]:
    """The ``signals`` of the full explanation of one item."""
    found = ask(state, options={"explain": "full"}, **fields)
    return next(each.explain.signals for each in found.items if each.item_id == item_id and each.explain)


# --- pop --------------------------------------------------------------------------------------------------------------


def test_popularity_halves_every_half_life_from_the_latest_day_of_the_data() -> None:
    """D = 15 January, half-life 7 days: a = 8·2^(−14/7) + 2·2^(−7/7) = 2 + 1 = 3, so 3/4; b = 1·2^0 = 1, so 1/2."""
    days = [("a", date(2026, 1, 1), 8.0), ("a", date(2026, 1, 8), 2.0), ("b", date(2026, 1, 15), 1.0)]
    decayed = surface(rows(popularity=days), {"popularity": {"half_life_days": 7.0}})
    assert scores(ask(decayed)) == {"a": 0.75, "b": 0.5}
    assert explained(decayed, "a")["pop"]["raw"] == 3.0


def test_without_a_half_life_days_count_alike() -> None:
    """a = 8 + 2 = 10, so 10/11."""
    days = [("a", date(2026, 1, 1), 8.0), ("a", date(2026, 1, 8), 2.0), ("b", date(2026, 1, 15), 1.0)]
    assert scores(ask(surface(rows(popularity=days)))) == {"a": 10 / 11, "b": 0.5}


def test_with_the_shortest_half_life_only_the_latest_day_counts() -> None:
    """a = 8·2^(−14/5e-324) = 8·2^(−∞) = 0; b = 1·2^0 = 1, so 1/2."""
    days = [("a", date(2026, 1, 1), 8.0), ("b", date(2026, 1, 15), 1.0)]
    assert scores(ask(surface(rows(popularity=days), {"popularity": {"half_life_days": 5e-324}}))) == {"a": 0, "b": 0.5}


# --- cooc -------------------------------------------------------------------------------------------------------------


def test_anchors_add_up() -> None:
    """cooc(c) = n(x, c) + n(y, c) = 1 + 4 = 5, so 0.5 · 5/6; cooc(b) = 3, so 1/2 + 0.5 · 3/4."""
    found = scores(ask(surface(LOADED), anchors={"item_ids": ["x", "y"]}))
    assert found == {"b": 0.875, "a": 0.75, "c": 0.5 * (5 / 6)}


def test_with_the_shortest_half_life_only_the_last_anchor_counts() -> None:
    """b = 3·2^(−1/5e-324) = 0 and c = 1·0 + 4·2^0 = 4, as from y alone."""
    state = surface(LOADED, {"anchors": {"half_life": 5e-324}})
    found = scores(ask(state, anchors={"item_ids": ["x", "y"]}))
    assert found["c"] == scores(ask(state, anchors={"item_ids": ["y"]}))["c"]


def test_older_anchors_fade_with_the_half_life() -> None:
    """y is the last (age 0, w = 1), x one older (w = 2^(−1/1) = 1/2): cooc(c) = 1/2 + 4 = 4.5, cooc(b) = 1.5."""
    found = scores(ask(surface(LOADED, {"anchors": {"half_life": 1.0}}), anchors={"item_ids": ["x", "y"]}))
    assert found == {"b": 0.5 + 0.5 * (1.5 / 2.5), "a": 0.75, "c": 0.5 * (4.5 / 5.5)}


def test_an_unknown_anchor_ages_the_ones_before_it() -> None:
    """x is followed by one unknown, so its age is 1 and w = 2^(−1/0.5) = 1/4: cooc(b) = 3/4, so 1/2 + 0.5·(0.75/1.75)."""
    found = scores(ask(surface(LOADED, {"anchors": {"half_life": 0.5}}), anchors={"item_ids": ["x", "zz"]}))
    assert found["b"] == 0.5 + 0.5 * (0.75 / 1.75)


def test_an_anchor_that_is_named_twice_counts_once_at_its_last_place() -> None:
    """x, y, x is y (age 1, w = 1/2), then x (age 0, w = 1): cooc(c) = 1/2·4 + 1 = 3."""
    state = surface(LOADED, {"anchors": {"half_life": 1.0}})
    assert scores(ask(state, anchors={"item_ids": ["x", "y", "x"]}))["c"] == 0.5 * (3 / 4)


def test_only_the_last_max_anchors_count() -> None:
    """y alone: cooc(c) = 4, so 0.5 · 4/5; b has nothing from x. x is no anchor any more, so it may be answered."""
    found = scores(ask(surface(LOADED), anchors={"item_ids": ["x", "y"], "max_anchors": 1}))
    assert found == {"a": 0.75, "b": 0.5, "c": 0.5 * (4 / 5), "x": 0.0}


# --- norm -------------------------------------------------------------------------------------------------------------


def test_norm() -> None:
    """s/(s+1): 3/4, 1/2, 1e15/(1e15 + 1), and 0 for 0."""
    data = rows([item("d")], popular={"a": 3.0, "b": 1.0, "c": 1e15})
    assert scores(ask(surface(data))) == {"c": 1e15 / (1e15 + 1.0), "a": 0.75, "b": 0.5, "d": 0.0}


def test_norm_of_one_score_is_that_of_an_array() -> None:
    given = [-1.0, 0.0, 5e-324, 0.1, 1.0, 3.0, 12345.678, 1e308]
    assert [norm_one(score) for score in given] == norm(np.array(given)).tolist()


def test_norm_of_a_negative_score_is_zero() -> None:
    """content(b) = −2 → 0, not −2/(−2+1) = 2; content(a) = 1 → 1/2."""
    state = surface(LOADED, content={"x": {"a": 1.0, "b": -2.0}})
    fields: dict[str, Any] = {"algorithm": "content_sim", "anchors": {"item_ids": ["x"]}}
    assert scores(ask(state, **fields)) == {"a": 0.5, "b": 0.0, "c": 0.0, "y": 0.0}
    assert explained(state, "b", **fields)["content_sim"]["raw"] == -2.0


# --- blend ------------------------------------------------------------------------------------------------------------


def test_blend_with_the_default_weights() -> None:
    """a: 1·3/4; b: 1·1/2 + 0.5·3/4; c: 0.5·1/2; y has no popularity and is no neighbour of x."""
    found = scores(ask(surface(LOADED), anchors={"item_ids": ["x"]}))
    assert found == {"b": 0.875, "a": 0.75, "c": 0.25, "y": 0.0}


def test_weights_are_taken_as_given_and_not_rescaled() -> None:
    """b: 4·1/2 + 2·3/4 = 3.5; a: 4·3/4 = 3; c: 2·1/2 = 1."""
    found = scores(ask(surface(LOADED), anchors={"item_ids": ["x"]}, weights={"pop": 4, "cooc": 2}))
    assert found == {"b": 3.5, "a": 3.0, "c": 1.0, "y": 0.0}


def test_the_third_term_is_the_largest_of_its_signals() -> None:
    """After x, γ = 0.2.

    a: emb 1/4; content 3 → 3/4; session 1 → 1/2: the largest is 3/4, so 3/4 + 0.2·3/4.
    b: emb 7/8; content 1 → 1/2; session 0: 7/8, so 1/2 + 0.5·3/4 + 0.2·7/8.
    c: nothing but cooc 1 and session 9 → 9/10: 0.5·1/2 + 0.2·9/10. y: nothing at all.
    """
    state = surface(
        LOADED,
        emb={"x": {"a": 0.25, "b": 0.875}},
        content={"x": {"a": 3.0, "b": 1.0}},
        session={"x": {"a": 1.0, "c": 9.0}},
    )
    found = scores(ask(state, anchors={"item_ids": ["x"]}))
    assert found == {
        "b": 0.5 + 0.5 * 0.75 + 0.2 * 0.875,
        "a": 0.75 + 0.2 * 0.75,
        "c": 0.5 * 0.5 + 0.2 * 0.9,
        "y": 0.0,
    }


def test_embeddings_are_clipped_to_0_and_1() -> None:
    """emb(a) = 1.5 → 1; emb(b) = −0.5 → 0, where norm would make 3/5 and 0."""
    state = surface(LOADED, emb={"x": {"a": 1.5, "b": -0.5}})
    found = scores(ask(state, anchors={"item_ids": ["x"]}, weights={"emb": 2.0}))
    assert found == {"a": 2.0, "b": 0.0, "c": 0.0, "y": 0.0}


def test_without_a_semantic_source_the_third_term_is_nothing_and_asking_for_it_warns() -> None:
    """b: 1·1/2; a: 1·3/4."""
    found = ask(surface(LOADED), weights={"pop": 1, "emb": 5})
    assert scores(found)["a"] == 0.75
    assert codes(found) == ["SIGNAL_UNAVAILABLE"]


def test_all_zero_weights_are_popularity_alone() -> None:
    """α = 1: 3/4 and 1/2, whether the zeros are the request's or the config's."""
    zeros = {"pop": 0, "cooc": 0, "emb": 0}
    expected = {"a": 0.75, "b": 0.5, "c": 0.0, "y": 0.0}
    assert scores(ask(surface(LOADED), anchors={"item_ids": ["x"]}, weights=zeros)) == expected
    assert scores(ask(surface(LOADED, {"weights": zeros}), anchors={"item_ids": ["x"]})) == expected


# --- which weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "fields", "chosen"),
    [
        ({}, {}, (1.0, 0.5, 0.2)),
        ({"weights": {"cooc": 2.0}}, {}, (0.0, 2.0, 0.0)),
        ({"weights": {"cooc": 2.0}, "surfaces": {"home": {"weights": {"emb": 4.0}}}}, {}, (0.0, 0.0, 4.0)),
        ({"weights": {"cooc": 2.0}, "surfaces": {"pdp": {"weights": {"emb": 4.0}}}}, {}, (0.0, 2.0, 0.0)),
        ({"surfaces": {"home": {"weights": {"emb": 4.0}}}}, {"weights": {"pop": 3.0}}, (3.0, 0.0, 0.0)),
        ({"weights": {"cooc": 2.0}}, {"weights": {}}, (1.0, 0.0, 0.0)),
        ({"weights": {"cooc": 2.0}}, {"algorithm": "popularity"}, (1.0, 0.0, 0.0)),
        ({"weights": {"cooc": 2.0}, "algorithm": "popularity"}, {}, (1.0, 0.0, 0.0)),
        ({}, {"algorithm": "popularity", "weights": {"cooc": 2.0}}, (0.0, 2.0, 0.0)),
    ],
    ids=[
        "default",
        "config",
        "surface wins over config",
        "another surface",
        "request wins as a whole",
        "request all zero",
        "mode",
        "mode of the config",
        "mode and request",
    ],
)
def test_which_weights(config: dict[str, Any], fields: dict[str, Any], chosen: tuple[float, ...]) -> None:
    parts = explained(surface(LOADED, config, emb={}), "a", **fields)
    assert tuple(parts[name]["weight"] for name in ("pop", "cooc", "emb")) == chosen


# --- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "fed"), [("cooc", None), ("content_sim", "content"), ("session_seq", "session")])
def test_a_mode_takes_the_place_of_popularity(mode: str, fed: str | None) -> None:
    """After x: b 3 → 3/4, c 1 → 1/2; a and y have none and come after, by id. α = 1, β = γ = 0."""
    sources: dict[str, Any] = {fed: {"x": {"b": 3.0, "c": 1.0}}} if fed else {}
    found = ask(surface(LOADED, **sources), algorithm=mode, anchors={"item_ids": ["x"]})
    assert [(each.item_id, each.score) for each in found.items] == [("b", 0.75), ("c", 0.5), ("a", 0.0), ("y", 0.0)]
    assert codes(found) == []


def test_a_mode_with_weights_of_the_request_blends_around_its_own_baseline() -> None:
    """After x, content(c) = 4: c 2·4/5 + 1·1/2 (cooc) + 1·4/5 (content again, as γ); b 1·3/4; pop counts nowhere."""
    state = surface(LOADED, content={"x": {"c": 4.0}})
    weights = {"pop": 2, "cooc": 1, "emb": 1}
    found = scores(ask(state, algorithm="content_sim", weights=weights, anchors={"item_ids": ["x"]}))
    assert found == {"c": 2 * 0.8 + 0.5 + 0.8, "b": 0.75, "a": 0.0, "y": 0.0}


@pytest.mark.parametrize("mode", ["cooc", "implicit", "content_sim", "session_seq"])
def test_a_mode_that_finds_nothing_is_popularity_with_a_warning(mode: str) -> None:
    without: list[dict[str, Any]] = [{}, {"content": {}, "session": {}, "collab": {}}]
    for fed in without:
        found = ask(surface(LOADED, **fed), algorithm=mode)
        assert scores(found) == {"a": 0.75, "b": 0.5, "c": 0.0, "x": 0.0, "y": 0.0}
        assert codes(found) == ["SIGNAL_UNAVAILABLE"]


def test_a_mode_whose_items_are_all_filtered_out_is_popularity_with_a_warning() -> None:
    found = ask(surface(LOADED), algorithm="cooc", anchors={"item_ids": ["x"]}, candidates={"exclude_ids": ["b", "c"]})
    assert scores(found) == {"a": 0.75, "y": 0.0}
    assert codes(found) == ["SIGNAL_UNAVAILABLE"]


# --- personalised -----------------------------------------------------------------------------------------------------

TAGGED = rows([item("a", "red"), item("b", "blue"), item("x", "red", "wool"), item("y", "red")], {"a": 1.0, "b": 1.0})


def test_personalisation_multiplies_by_the_share_of_common_tags() -> None:
    """Tags of x and y: red 2, wool 1, so the profile is red 2/3, wool 1/3; a: 1/2·(1 + 0.5·2/3·1); b: 1/2·(1 + 0)."""
    state = surface(TAGGED, {"personalization": {"boost": 0.5, "top_tags": 2}})
    assert scores(ask(state, anchors={"item_ids": ["x", "y"]})) == {"a": 0.5 * (1 + 0.5 * (2 / 3)), "b": 0.5}


def test_the_overlap_adds_up_over_the_tags_of_an_item() -> None:
    """Profile of x: p 1/3, q 1/3, r 1/3. a carries p and q: 1/2·(1 + 3·(1/3 + 1/3))."""
    data = rows([item("a", "p", "q", "z"), item("x", "p", "q", "r")], {"a": 1.0})
    state = surface(data, {"personalization": {"boost": 3.0}})
    assert scores(ask(state, anchors={"item_ids": ["x"]}))["a"] == 0.5 * (1 + 3 * (1 / 3 + 1 / 3))


def test_of_equally_frequent_tags_the_lower_one_by_code_point_is_kept() -> None:
    """x carries B, a and é, once each; top_tags = 2 keeps B and a (B < a < é), and each counts 1/2 then.

    p carries B: 1/2·(1 + 1·1/2); q carries a: the same; r carries é: 1/2.
    """
    data = rows([item("p", "B"), item("q", "a"), item("r", "é"), item("x", "é", "a", "B")], dict.fromkeys("pqr", 1.0))
    state = surface(data, {"personalization": {"boost": 1.0, "top_tags": 2}})
    assert scores(ask(state, anchors={"item_ids": ["x"]})) == {"p": 0.75, "q": 0.75, "r": 0.5}


@pytest.mark.parametrize(
    ("anchors", "c"),
    [(["x"], 0.5), (["x", "zz"], 0.5), (["x", "y"], 0.5), (["x", "y", "zz"], 1.0)],
    ids=["one", "one and one unknown", "two", "two and one unknown"],
)
def test_with_fewer_than_min_events_the_gain_is_multiplied(anchors: list[str], c: float) -> None:
    """top_tags = 1 keeps red (2 of 3, or of equals the lower), whose share becomes 1; min_events = 3, unknown ones count.

    a: 1/2 · (1 + 0.5 · 1 · c).
    """
    config = {"personalization": {"boost": 0.5, "top_tags": 1, "min_events": 3, "cold_start_multiplier": 0.5}}
    assert scores(ask(surface(TAGGED, config), anchors={"item_ids": anchors}))["a"] == 0.5 * (1 + 0.5 * 1 * c)


def test_without_known_anchors_there_is_no_profile() -> None:
    state = surface(TAGGED, {"personalization": {"boost": 9.0}})
    assert scores(ask(state, anchors={"item_ids": ["zz"]}))["a"] == 0.5


# --- boosted ----------------------------------------------------------------------------------------------------------


def lifted(value: float, key: str = "a") -> dict[str, Any]:
    return {"action": "boost", "target_type": "item", "target_key": key, "boost_value": value}


@pytest.mark.parametrize(
    ("popular", "value", "score"),
    [
        (1.0, 2.0, 1.5),  # 1/2 + 1/2·2
        (1.0, 0.0, 0.5),  # 1/2 + 1/2·0
        (1.0, -0.5, 0.25),  # 1/2 − 1/2·0.5
        (1.0, -1.0, 0.0),  # 1/2 − 1/2
        (1.0, -3.0, 0.0),  # 1/2 − 3/2 = −1 → 0
        (0.0, 2.0, 2.0),  # 0 + 2
        (0.0, -1.0, 0.0),  # 0 − 1 → 0
    ],
)
def test_boosts(popular: float, value: float, score: float) -> None:
    assert scores(ask(surface(rows(popular={"a": popular}), rules=[lifted(value)]))) == {"a": score}


def test_matching_boosts_add_up() -> None:
    """a: 1/2 · (1 + 0.25 + 0.75); b: 1/2 · (1 + 0.75)."""
    both = {"action": "boost", "target_type": "item", "item_ids": ["a", "b"], "boost_value": 0.75}
    assert scores(ask(surface(HALF, rules=[lifted(0.25), both]))) == {"a": 1.0, "b": 0.875}


def test_boosts_are_added_up_before_they_are_applied() -> None:
    """v = 3 − 2 = 1, so 1/2 + 1/2; one after the other would make 2 and then 0."""
    assert scores(ask(surface(HALF, rules=[lifted(3.0), lifted(-2.0)])))["a"] == 1.0


def test_boosts_come_after_personalisation() -> None:
    """a: 1/2·(1 + 0.5·1·1) = 0.75, then 0.75 + 0.75·1."""
    data = rows([item("a", "red"), item("x", "red")], {"a": 1.0})
    state = surface(data, {"personalization": {"boost": 0.5}}, [lifted(1.0)])
    assert scores(ask(state, anchors={"item_ids": ["x"]}))["a"] == 1.5


# --- order ------------------------------------------------------------------------------------------------------------


def test_equal_givenstand_by_code_point() -> None:
    """By code point, not by UTF-16 unit (U+FB33 < U+1F600, though the latter begins with D83D), locale or length."""
    names = ["\U0001f600", "\ufb33", "é", "e\u0301", "b", "a", "B", "i-9", "i-10"]
    assert ids(ask(surface(rows([item(name) for name in names])))) == [
        "B", "a", "b", "e\u0301", "i-10", "i-9", "é", "\ufb33", "\U0001f600",
    ]  # fmt: skip


def test_pins_stand_before_givenand_givenbefore_ids() -> None:
    pins = [{"action": "pin", "target_type": "item", "item_ids": ["z", "y"]}]
    data = rows(popular={"a": 1.0, "b": 1.0, "c": 3.0, "y": 9.0, "z": 0.0})
    assert ids(ask(surface(data, rules=pins))) == ["z", "y", "c", "a", "b"]
