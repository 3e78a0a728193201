"""Golden vectors of what each source finds, worked out by hand."""

from __future__ import annotations

import numpy as np

from recsys.ranking.arrays import as_indices
from recsys.ranking.scores import AnchorItems
from recsys.ranking.signal import Asked, Signal
from recsys.ranking.sources import make_sources
from recsys.ranking.sources.collab import CollaborativeSignal
from recsys.ranking.sources.content import ContentSignal
from recsys.ranking.sources.cooc import CoocSignal
from recsys.ranking.sources.embedding import EmbeddingSignal
from recsys.ranking.sources.session import SessionSignal
from tests.support.surfaces import Found, neighbour_lists, rows, surface, user_lists

INDEX = {name: at for at, name in enumerate("abcxyz")}
LISTS = neighbour_lists(
    INDEX,
    {"x": {"a": 0.5, "b": 1.0}, "y": {"b": 0.25, "c": 1.0}, "z": {"c": -0.5, "x": 0.0}},
    INDEX,
)


def found(signal: Signal, anchors: dict[str, float], subject: str | None = None) -> dict[str, float]:
    """What a signal finds for anchors (oldest first) of these weights."""
    indices = as_indices(INDEX[name] for name in anchors)
    asked = Asked(AnchorItems(len(anchors), indices, np.array(list(anchors.values()), np.float64), named=True), subject)
    recall = Found()
    signal.recall(asked, recall)
    scores = recall.all()
    names = list(INDEX)
    return {names[at]: value for at, value in zip(scores.indices.tolist(), scores.values.tolist(), strict=True)}


def test_cooc_adds_up_the_weighted_counts() -> None:
    """x counts 1/2, y counts 1. a: 1/2·0.5; b: 1/2·1 + 1·0.25; c: 1·1."""
    assert found(CoocSignal(LISTS), {"x": 0.5, "y": 1.0}) == {"a": 0.25, "b": 0.75, "c": 1.0}


def test_content_adds_up_the_weighted_similarities() -> None:
    """x counts 1, y counts 2. a: 0.5; b: 1 + 2·0.25; c: 2·1."""
    assert found(ContentSignal(LISTS), {"x": 1.0, "y": 2.0}) == {"a": 0.5, "b": 1.5, "c": 2.0}


def test_an_item_that_is_found_is_there_whatever_its_score() -> None:
    assert found(ContentSignal(LISTS), {"z": 1.0}) == {"c": -0.5, "x": 0.0}


def test_emb_is_the_weighted_mean_over_all_anchors() -> None:
    """x counts 1, y counts 3, W = 4. a: 1/4·0.5; b: 1/4·1 + 3/4·0.25; c: 3/4·1."""
    assert found(EmbeddingSignal(LISTS), {"x": 1.0, "y": 3.0}) == {"a": 0.125, "b": 0.4375, "c": 0.75}


def test_emb_of_anchors_that_weigh_nothing_is_nothing() -> None:
    """2^(-age/half_life) underflows where half-lives are short and unknown anchors came last."""
    assert found(EmbeddingSignal(LISTS), {"x": 0.0, "y": 0.0}) == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_an_anchor_without_a_vector_takes_its_part_of_the_mean() -> None:
    """x counts 1, a has no row and counts 1, W = 2. a: 1/2·0.5; b: 1/2·1."""
    assert found(EmbeddingSignal(LISTS), {"x": 1.0, "a": 1.0}) == {"a": 0.25, "b": 0.5}


def test_session_looks_at_the_last_two_anchors_and_halves_the_older_one() -> None:
    """z is third from the end and says nothing; x counts 1/2, y counts 1. a: 1/2·0.5; b: 1/2·1 + 0.25; c: 1."""
    expected = {"a": 0.25, "b": 0.75, "c": 1.0}
    assert found(SessionSignal(LISTS), {"z": 1.0, "x": 1.0, "y": 1.0}) == expected
    assert found(SessionSignal(LISTS), {"x": 0.1, "y": 0.9}) == expected  # whatever the anchors' own weights are


def test_session_with_one_anchor_counts_it_full() -> None:
    assert found(SessionSignal(LISTS), {"x": 0.5}) == {"a": 0.5, "b": 1.0}


def test_without_anchors_nothing_goes_with_them() -> None:
    for signal in (CoocSignal(LISTS), ContentSignal(LISTS), EmbeddingSignal(LISTS), SessionSignal(LISTS)):
        assert found(signal, {}) == {}


def test_collab_is_the_users_own_list_whatever_the_anchors() -> None:
    users = CollaborativeSignal(user_lists({"ann": {"b": 3.0, "a": 1.0}, "bob": {"c": 2.0}}, INDEX))
    assert found(users, {"x": 1.0}, "ann") == {"a": 1.0, "b": 3.0}
    assert found(users, {}, "bob") == {"c": 2.0}
    assert found(users, {"x": 1.0}, "zoe") == {}
    assert found(users, {"x": 1.0}) == {}


def test_a_surface_has_the_sources_that_it_has_data_for() -> None:
    bare = surface(rows(popular={"a": 1.0})).signals
    assert list(make_sources(bare)) == ["cooc"]
    fed = surface(rows(popular={"a": 1.0}), emb={}, collab={}, content={}, session={}).signals
    assert list(make_sources(fed)) == ["cooc", "emb", "collab", "content", "session"]
