"""Golden vectors where the user is known: a list of his own, what he did lately, what he is done with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.reference import Event
from tests.support.surfaces import NOW, ask, ask_for, codes, item, rows, scores, surface

DATA = rows(
    [item("a", "red"), item("x", "red"), item("y", "blue")],
    {"a": 3.0, "b": 1.0},
    {("x", "b"): 3.0, ("x", "c"): 1.0, ("y", "c"): 4.0},
)


def did(kind: str, item_id: str, days_ago: float, user: str = "ann") -> Event:
    return Event(user, item_id, kind, NOW - timedelta(days=days_ago))


LATELY = [did("view", "x", 3), did("view", "y", 2), did("view", "a", 0, "bob")]


def test_collaborative_scores_are_the_third_term() -> None:
    """ann's list: c 3 → 3/4, so 0.2·3/4; the others as ever: a 3/4, b 1/2. bob has no list."""
    state = surface(DATA, collab={"ann": {"c": 3.0}})
    assert scores(ask_for("ann", state)) == {"a": 0.75, "b": 0.5, "c": 0.2 * 0.75, "x": 0.0, "y": 0.0}
    assert scores(ask_for("bob", state))["c"] == 0.0


def test_strangers_share_one_answer_also_where_others_have_lists_and_who_has_one_gets_none_of_it() -> None:
    state = surface(DATA, collab={"ann": {"c": 3.0}}, history=[did("view", "x", 1, "bob")])
    assert ask_for("eve", state) is ask_for("zoe", state)
    assert ask_for("ann", state) is not ask_for("ann", state)
    assert scores(ask_for("ann", state)) != scores(ask_for("eve", state)) != scores(ask_for("bob", state))


def test_a_notice_about_weights_is_for_whoever_gave_them_also_where_they_are_those_of_the_config() -> None:
    weights = {"pop": 1.0, "cooc": 0.5, "emb": 0.2}
    state = surface(rows([item("a")], {"a": 1.0}), {"weights": weights})
    assert codes(ask_for("ann", state)) == []
    assert codes(ask_for("ann", state, weights=weights)) == ["SIGNAL_UNAVAILABLE"]
    assert codes(ask_for("eve", state)) == []


def test_mode_implicit_takes_the_users_list_for_popularity() -> None:
    """c 3 → 3/4, y 1 → 1/2, the rest nothing; whoever has no list gets popularity, with a warning."""
    state = surface(DATA, collab={"ann": {"c": 3.0, "y": 1.0}})
    found = ask_for("ann", state, algorithm="implicit")
    assert (scores(found), codes(found)) == ({"c": 0.75, "y": 0.5, "a": 0.0, "b": 0.0, "x": 0.0}, [])
    stranger = ask_for("bob", state, algorithm="implicit")
    assert (scores(stranger)["a"], codes(stranger)) == (0.75, ["SIGNAL_UNAVAILABLE"])


def test_without_anchors_the_recent_history_serves_and_may_be_answered() -> None:
    """x, then y: cooc(b) = 3, cooc(c) = 1 + 4. b 1/2 + 0.5·3/4; c 0.5·5/6; x and y are in the answer."""
    found = scores(ask_for("ann", surface(DATA, history=LATELY)))
    assert found == {"b": 0.875, "a": 0.75, "c": 0.5 * (5 / 6), "x": 0.0, "y": 0.0}


def test_history_fades_with_the_half_life_of_the_anchors() -> None:
    """y is the last (w = 1), x one older (w = 1/2): cooc(c) = 1/2 + 4, cooc(b) = 3/2."""
    found = scores(ask_for("ann", surface(DATA, {"anchors": {"half_life": 1.0}}, history=LATELY)))
    assert (found["c"], found["b"]) == (0.5 * (4.5 / 5.5), 0.5 + 0.5 * (1.5 / 2.5))


def test_max_anchors_bounds_the_history_too() -> None:
    """Only y: cooc(c) = 4 and cooc(b) = 0."""
    found = scores(ask_for("ann", surface(DATA, history=LATELY), anchors={"max_anchors": 1}))
    assert (found["c"], found["b"]) == (0.5 * (4 / 5), 0.5)


def test_anchors_of_the_request_take_the_place_of_the_history() -> None:
    """y alone, and y is kept out; x, of the history, is not."""
    found = scores(ask_for("ann", surface(DATA, history=LATELY), anchors={"item_ids": ["y"]}))
    assert found == {"a": 0.75, "b": 0.5, "c": 0.5 * (4 / 5), "x": 0.0}


def test_the_profile_is_that_of_the_history() -> None:
    """Tags of x and y: red 1/2, blue 1/2. a is red: 3/4·(1 + 1·1/2·c), c = 1/2 as there are 2 < 3 events."""
    config = {"personalization": {"boost": 1.0, "min_events": 3, "cold_start_multiplier": 0.5}}
    assert scores(ask_for("ann", surface(DATA, config, history=LATELY)))["a"] == 0.75 * (1 + 1 * 0.5 * 0.5)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ({"event_types": ["purchase"]}, {"b", "y"}),
        ({"event_types": ["purchase", "view"]}, {"b"}),
        ({"event_types": ["purchase"], "window_days": 5}, {"b", "c", "y"}),
        ({"event_types": ["purchase"], "window_days": 4.5}, {"a", "b", "c", "y"}),
        ({"event_types": ["refund"]}, {"a", "b", "c", "y"}),
        ({"window_days": 5}, {"a", "b", "c", "y"}),
    ],
    ids=["bought", "bought or seen", "edge of the window", "before the window", "unknown type", "no type"],
)
def test_what_the_user_is_done_with_is_kept_out(exclude: dict[str, Any], left: set[str]) -> None:
    """The newest event of anybody is bob's at day −1, so a window of 5 days holds what happened at day −6."""
    history = [did("purchase", "c", 9), did("purchase", "a", 6), did("view", "y", 2), did("view", "b", 1, "bob")]
    state = surface(DATA, {"exclude": exclude}, history=history)
    assert set(scores(ask_for("ann", state, candidates={"exclude_ids": ["x"]}))) == left


def test_what_the_user_is_done_with_is_not_even_pinned() -> None:
    pins = [{"action": "pin", "target_type": "item", "item_ids": ["a", "b"]}]
    state = surface(DATA, {"exclude": {"event_types": ["view"]}}, pins, history=[did("view", "a", 1)])
    found = ask_for("ann", state)
    assert found.items[0].item_id == "b"
    assert "a" not in scores(found)


def test_for_a_stranger_and_for_nobody_history_means_nothing() -> None:
    state = surface(DATA, {"exclude": {"event_types": ["view"]}}, history=LATELY, collab={"ann": {"c": 1.0}})
    assert scores(ask_for("zoe", state)) == scores(ask(state)) == {"a": 0.75, "b": 0.5, "c": 0.0, "x": 0.0, "y": 0.0}
