"""Signals from artifacts are those that tables with the same facts would give, and what is missing is no error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from recsys.artifacts.codec import Artifact, decode, encode
from recsys.domain.manifest import ArtifactKind
from recsys.ranking.arrays import NeighbourLists
from recsys.ranking.ids import Ids
from recsys.ranking.signal_arrays import to_arrays
from recsys.ranking.signals import NEVER, SurfaceSignals, build_signals
from recsys.serving.artifact_signals import build_from_artifacts
from tests.support.surfaces import item, rows
from tests.support.tables import MINUTE, ROWS, T0, table

POPULAR = [{"item_id": "b", "score": 2.0}, {"item_id": "z", "score": 1.0}]
PAIRS = [
    {"item_id": "b", "neighbor_id": "a", "score": 3.0},
    {"item_id": "z", "neighbor_id": "b", "score": 1.5},
    {"item_id": "b", "neighbor_id": "\U0001f600", "score": 0.5},
]


def artifact(kind: ArtifactKind, facts: list[dict[str, Any]] | None = None) -> Artifact:
    return decode(kind, encode(kind, table(kind, facts)))


def named(lists: NeighbourLists, row_ids: Ids, ids: Ids) -> dict[str, dict[str, float]]:
    found = {}
    for row, name in enumerate(row_ids):
        items, values = lists.row(row)
        if items.size:
            found[name] = dict(zip(ids.texts(items.tolist()), values.tolist(), strict=True))
    return found


def of_items(signals: SurfaceSignals, lists: NeighbourLists | None) -> dict[str, dict[str, float]]:
    assert lists is not None
    return named(lists, signals.ids, signals.ids)


def test_the_same_facts_give_the_same_arrays_as_tables_do() -> None:
    at = datetime.fromtimestamp(T0 / 1e6, UTC)
    catalogue = [
        {"item_id": "b", "title": "", "tags": ["red", "brand:x"], "price": 9.5, "created_at": T0, "attributes": ""},
        {"item_id": "q", "title": "", "tags": ["red"], "price": float("nan"), "created_at": NEVER, "attributes": ""},
    ]
    made = build_from_artifacts(
        "home",
        {
            "popularity": artifact("popularity", POPULAR),
            "cooc": artifact("cooc", PAIRS),
            "catalog": artifact("catalog", catalogue),
        },
        None,
    )
    described = [item("b", "red", "brand:x", price=9.5, created_at=at), item("q", "red")]
    pairs = {("b", "a"): 3.0, ("z", "b"): 1.5, ("b", "\U0001f600"): 0.5}
    tables = build_signals(rows(described, {"b": 2.0, "z": 1.0}, pairs, data_revision=0))

    mine, theirs = to_arrays(made), to_arrays(tables)
    assert mine.keys() == theirs.keys()
    for name, array in theirs.items():
        assert mine[name].dtype == array.dtype, name
        assert np.array_equal(mine[name], array, equal_nan=array.dtype == np.float64), name


def test_every_kind_becomes_its_signal_in_one_universe() -> None:
    kinds: list[ArtifactKind] = ["popularity", "cooc", "content_sim", "session_seq", "embedding", "implicit", "history"]
    signals = build_from_artifacts("home", {kind: artifact(kind) for kind in kinds}, None)

    assert list(signals.ids) == ["a", "b", "c", "ü", "\uffee", "\U0001f600"]
    expected = {"a": {"b": 1.5, "ü": 0.5}, "b": {"a": 2.0}, "\U0001f600": {"a": 1.0}}
    for lists in (signals.cooc, signals.content, signals.session, signals.emb):
        assert of_items(signals, lists) == expected
    assert signals.collab is not None
    lists = signals.collab.lists
    assert named(lists, signals.collab.subjects, signals.ids) == {"u1": {"a": 2.5, "b": 0.5}, "u2": {"b": 1.0}}
    assert signals.history is not None
    assert signals.ids.texts(signals.history.recent(signals.history.find("u1"), 5).tolist()) == ["a", "c"]
    assert signals.history.newest == T0 + 2 * MINUTE


def test_a_half_life_changes_nothing_about_popularity_that_was_decayed_already() -> None:
    signals = build_from_artifacts("home", {"popularity": artifact("popularity")}, None)

    for half_life in (None, 0.5, 30.0):
        scores = dict(zip(signals.ids, signals.decayed_popularity(half_life).tolist(), strict=True))
        assert scores == {each["item_id"]: each["score"] for each in ROWS["popularity"]}


def test_rows_describe_the_items_where_there_is_no_catalogue() -> None:
    data = rows([item("b", "red", price=2.0), item("new", "blue")], {"elsewhere": 5.0}, data_revision=7)
    signals = build_from_artifacts("home", {"popularity": artifact("popularity", POPULAR)}, data)

    assert list(signals.ids) == ["b", "new", "z"]
    assert signals.tags == ("blue", "red")
    assert signals.prices[0] == 2.0
    assert signals.data_revision == 7


def test_a_manifest_of_nothing_is_a_surface_of_nothing() -> None:
    signals = build_from_artifacts("home", {}, None)

    assert len(signals.ids) == 0
    assert (signals.emb, signals.content, signals.session, signals.collab, signals.history) == (None,) * 5
    assert signals.cooc.items.size == signals.popularity.items.size == 0


@pytest.mark.parametrize("kind", ["popularity", "cooc", "catalog", "implicit", "history"])
def test_an_artifact_without_rows_is_served(kind: ArtifactKind) -> None:
    assert len(build_from_artifacts("home", {kind: artifact(kind, [])}, None).ids) == 0
