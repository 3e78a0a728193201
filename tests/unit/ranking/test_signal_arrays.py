"""Taken apart and put together again, signals are the same to the last bit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from recsys.ranking.arrays import NeighbourLists, as_indices
from recsys.ranking.history import UserLists, build_history
from recsys.ranking.ids import make_ids
from recsys.ranking.session_index import build_session_index
from recsys.ranking.signal_arrays import from_arrays, to_arrays
from recsys.ranking.signals import SurfaceSignals, build_signals
from tests.support.surfaces import item, rows

LISTS = NeighbourLists(np.array([0, 1, 1, 1]), as_indices([2]), np.array([0.5]))


@pytest.fixture
def signals() -> SurfaceSignals:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    data = rows([item("a", "röd", "x", price=1.5), item("é", created_at=at)], {"a": 2.0, "b": 1.0}, {("a", "b"): 3.0})
    return build_signals(data)


@pytest.fixture
def everything(signals: SurfaceSignals) -> SurfaceSignals:
    history = build_history(["u", "ü", "u"], as_indices([2, 0, 1]), ["view", "buy", "view"], np.array([5, 3, 4]))
    collab = UserLists(make_ids(["u", "v", "w"]), LISTS)
    sessions = build_session_index(np.array([0, 2, 3]), as_indices([0, 2, 2]), 3)
    return replace(signals, emb=LISTS, content=LISTS, session=LISTS, sessions=sessions, collab=collab, history=history)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    assert left.keys() == right.keys()
    return all(left[name].dtype == right[name].dtype and left[name].tobytes() == right[name].tobytes() for name in left)


def test_every_array_comes_back(everything: SurfaceSignals) -> None:
    arrays = to_arrays(everything)
    back = from_arrays(arrays)

    assert same(to_arrays(back), arrays)
    assert (back.surface, back.data_revision, back.tags) == ("home", 1, ("röd", "x"))
    assert back.tag_index == everything.tag_index
    assert list(back.ids) == ["a", "b", "é"]
    assert back.history is not None
    assert back.history.kind_names == ("buy", "view")
    assert back.history.recent(back.history.find("u"), 5).tolist() == [1, 2]
    assert back.collab is not None
    assert back.collab.subjects.index("w") == 2


def test_no_field_is_forgotten(everything: SurfaceSignals) -> None:
    for name in SurfaceSignals.__dataclass_fields__:
        assert getattr(from_arrays(to_arrays(everything)), name) is not None, name


def test_what_there_is_no_data_for_stays_none(signals: SurfaceSignals) -> None:
    back = from_arrays(to_arrays(signals))

    assert (back.emb, back.content, back.session, back.collab, back.history) == (None, None, None, None, None)


def test_a_surface_without_rows_comes_back() -> None:
    assert len(from_arrays(to_arrays(build_signals(rows()))).ids) == 0


def test_a_missing_array_is_an_error(signals: SurfaceSignals) -> None:
    arrays = to_arrays(signals)
    del arrays["prices"]

    with pytest.raises(KeyError, match="prices"):
        from_arrays(arrays)
