"""Golden vectors: every formula worked out by hand beside the assertion."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from recsys.domain.config import Algorithm, Weights
from recsys.ranking.arrays import SparseScores, as_indices
from recsys.ranking.scores import AnchorItems, boosted, choose_weights, norm
from recsys.ranking.signals import build_signals
from recsys.ranking.state import SurfaceState
from tests.support.surfaces import ask, codes, ids, item, rows, surface

LOADED = rows(popular={"a": 3.0, "b": 1.0}, cooc={("x", "b"): 3.0, ("x", "c"): 1.0, ("y", "c"): 4.0})


def scores(state: SurfaceState, **fields: Any) -> dict[str, float]:
    return {each.item_id: each.score for each in ask(state, **fields).items}


def test_popularity_halves_every_half_life_from_the_latest_day_of_the_data() -> None:
    days = [("a", date(2026, 1, 1), 8.0), ("a", date(2026, 1, 8), 2.0), ("b", date(2026, 1, 15), 1.0)]
    signals = build_signals(rows(popularity=days))
    # D = 15 January: a = 8 · 2^(−14/7) + 2 · 2^(−7/7) = 2 + 1; b = 1 · 2^0
    assert signals.decayed_popularity(7.0).tolist() == [3.0, 1.0]
    assert signals.decayed_popularity(None).tolist() == [10.0, 1.0]  # days count alike


def test_norm() -> None:
    # 3/4, 1/2, and nothing for zero and below
    assert norm(np.array([3.0, 1.0, 0.0, -2.0])).tolist() == [0.75, 0.5, 0.0, 0.0]


def test_blend_with_the_default_weights() -> None:
    # a: 1·3/4; b: 1·1/2 + 0.5·3/4; c: 0.5·1/2 (x is an anchor, y has no popularity and no x neighbour)
    found = scores(surface(LOADED), anchors={"item_ids": ["x"]})
    assert found == {"b": 0.875, "a": 0.75, "c": 0.25, "y": 0.0}


def test_anchors_add_up() -> None:
    # cooc(c) = n(x, c) + n(y, c) = 1 + 4, so 0.5 · 5/6
    assert scores(surface(LOADED), anchors={"item_ids": ["x", "y"]})["c"] == 0.5 * (5 / 6)


def test_older_anchors_fade_with_the_half_life() -> None:
    # y is the last (age 0, w = 1), x one older (w = 2^(−1/1) = 1/2): cooc(c) = 4 + 0.5, cooc(b) = 1.5
    found = scores(surface(LOADED, {"anchors": {"half_life": 1.0}}), anchors={"item_ids": ["x", "y"]})
    assert found["c"] == 0.5 * (4.5 / 5.5)
    assert found["b"] == 0.5 + 0.5 * (1.5 / 2.5)


def test_only_the_last_max_anchors_count() -> None:
    found = scores(surface(LOADED), anchors={"item_ids": ["x", "y"], "max_anchors": 1})
    assert found["c"] == 0.5 * (4 / 5)
    assert found["b"] == 0.5


@pytest.mark.parametrize(
    ("algorithm", "requested", "configured", "chosen"),
    [
        ("blend", None, None, (1.0, 0.5, 0.2)),
        ("blend", None, Weights(cooc=2.0), (0.0, 2.0, 0.0)),
        ("blend", Weights(pop=3.0), Weights(cooc=2.0), (3.0, 0.0, 0.0)),
        ("blend", Weights(), None, (1.0, 0.0, 0.0)),
        ("cooc", None, Weights(cooc=2.0), (1.0, 0.0, 0.0)),
        ("cooc", Weights(cooc=2.0), None, (0.0, 2.0, 0.0)),
    ],
    ids=["default", "config", "request wins", "all zero", "mode", "mode and request"],
)
def test_which_weights(
    algorithm: Algorithm, requested: Weights | None, configured: Weights | None, chosen: tuple[float, float, float]
) -> None:
    weights = choose_weights(algorithm, requested, configured)
    assert (weights.pop, weights.cooc, weights.emb) == chosen


def test_mode_cooc_takes_the_place_of_popularity() -> None:
    # norm(cooc): b 3/4, c 1/2; a and y have none and come after, by id
    assert scores(surface(LOADED), algorithm="cooc", anchors={"item_ids": ["x"]}) == {
        "b": 0.75,
        "c": 0.5,
        "a": 0.0,
        "y": 0.0,
    }


def test_mode_cooc_without_candidates_is_popularity_with_a_warning() -> None:
    found = ask(surface(LOADED), algorithm="cooc")
    assert ids(found)[:2] == ["a", "b"]
    assert found.items[0].score == 0.75
    assert codes(found) == ["SIGNAL_UNAVAILABLE"]


@pytest.mark.parametrize("mode", ["implicit", "content_sim", "session_seq"])
def test_a_mode_without_data_is_popularity_with_a_warning(mode: str) -> None:
    found = ask(surface(LOADED), algorithm=mode)
    assert ids(found)[:2] == ["a", "b"]
    assert codes(found) == ["SIGNAL_UNAVAILABLE"]


class Fixed:
    """A signal that always finds the same."""

    def __init__(self, **found: float) -> None:
        self._found = found

    def recall(self, anchors: AnchorItems) -> SparseScores:
        # the ids of LOADED in order: a b c x y
        return SparseScores(
            as_indices("abcxy".index(name) for name in self._found), np.array(list(self._found.values()))
        )


def test_the_third_term_is_the_largest_of_its_signals() -> None:
    state = surface(LOADED, emb=Fixed(a=1.5, c=0.25), collab=Fixed(a=1.0, c=1.0))
    # a: 3/4 + 0.2·max(clip(1.5), 1/2) = 0.75 + 0.2·1; c: 0.2·max(0.25, 1/2)
    found = scores(state)
    assert found["a"] == 0.75 + 0.2 * 1.0
    assert found["c"] == 0.2 * 0.5


def test_a_mode_with_data_uses_it_as_baseline() -> None:
    assert scores(surface(LOADED, implicit=Fixed(c=3.0)), algorithm="implicit")["c"] == 0.75


def test_personalisation_multiplies_by_the_share_of_common_tags() -> None:
    state = surface(
        rows([item("a", "red"), item("b", "blue"), item("x", "red", "wool"), item("y", "red")], {"a": 1.0, "b": 1.0}),
        {"personalization": {"boost": 0.5, "top_tags": 2}},
    )
    # tags of x and y: red 2, wool 1 → profile red 2/3, wool 1/3; a: 1/2 · (1 + 0.5 · 2/3 · 1)
    found = scores(state, anchors={"item_ids": ["x", "y"]})
    assert found["a"] == 0.5 * (1 + 0.5 * (2 / 3))
    assert found["b"] == 0.5


def test_top_tags_are_rescaled_to_one_and_cold_start_multiplies() -> None:
    config = {"personalization": {"boost": 0.5, "top_tags": 1, "min_events": 3, "cold_start_multiplier": 0.5}}
    state = surface(rows([item("a", "red"), item("x", "red", "wool")], {"a": 1.0}), config)
    # red and wool are equally frequent, the lower tag is kept and its share becomes 1; one anchor < 3, so c = 0.5
    assert scores(state, anchors={"item_ids": ["x"]})["a"] == 0.5 * (1 + 0.5 * 1 * 0.5)


def test_boosts() -> None:
    # 0.5 + 0.5·2; 0 + 2; 0.5 − 0.5·3 → never below 0; 0 − 1 → 0
    assert boosted(np.array([0.5, 0.0, 0.5, 0.0]), np.array([2.0, 2.0, -3.0, -1.0])).tolist() == [1.5, 2.0, 0.0, 0.0]


def test_matching_boosts_add_up() -> None:
    rules = [
        {"action": "boost", "target_type": "item", "target_key": "b", "boost_value": 0.25},
        {"action": "boost", "target_type": "item", "item_ids": ["b", "c"], "boost_value": 0.75},
    ]
    # b: 1/2 · (1 + 0.25 + 0.75); c: 0 + 0.75
    found = scores(surface(LOADED, rules=rules))
    assert found["b"] == 1.0
    assert found["c"] == 0.75
