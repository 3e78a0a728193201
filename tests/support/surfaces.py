"""Small surfaces out of dict literals, and short ways to ask them: the one place in the tests that puts one together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import numpy as np

from recsys.domain.catalogue import Item, SurfaceRows
from recsys.domain.config import Config, SurfaceSettings, resolve
from recsys.domain.recommend import RecommendRequest
from recsys.domain.rules import Rule
from recsys.ranking.arrays import Indices, NeighbourLists, SparseScores, Values, as_indices
from recsys.ranking.history import History, UserLists, build_history
from recsys.ranking.ids import make_ids
from recsys.ranking.pipeline import Ranking, rank
from recsys.ranking.popularity import rank_popularity
from recsys.ranking.session_index import SessionIndex, build_session_index
from recsys.ranking.signals import SurfaceSignals, build_signals, to_microseconds
from recsys.ranking.state import SurfaceState, compose_surface
from tests.support.reference import Event, Fed, Lists

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 2, 28)


def item(item_id: str, *tags: str, **facts: Any) -> Item:
    return Item(item_id=item_id, tags=list(tags), **facts)


def rows(
    items: list[Item] | None = None,
    popular: dict[str, float] | None = None,
    cooc: dict[tuple[str, str], float] | None = None,
    **more: Any,
) -> SurfaceRows:
    popularity = [(item_id, DAY, score) for item_id, score in (popular or {}).items()]
    covisits = [(a, i, DAY, score) for (a, i), score in (cooc or {}).items()]
    facts: dict[str, Any] = {
        "surface": "home",
        "data_revision": 1,
        "popularity": popularity,
        "covisits": covisits,
    } | more
    return SurfaceRows(items=items or [], **facts)


def settings_of(config: dict[str, Any] | None = None, surface: str = "home") -> SurfaceSettings:
    return resolve(msgspec.convert(config or {}, Config), surface)


def rules_of(rules: list[dict[str, Any]] | None = None) -> list[Rule]:
    return msgspec.convert(rules or [], list[Rule])


def surface(
    data: SurfaceRows,
    config: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | None = None,
    **fed: Any,
) -> SurfaceState:
    """A surface of tables and, where they are fed, the lists and histories of :class:`Fed` (by its field names)."""
    settings = settings_of(config, data.surface)
    signals = _with(build_signals(data), Fed(**fed))
    popularity = rank_popularity(signals, settings.popularity.half_life_days)
    return compose_surface(signals, popularity, settings, rules_of(rules))


def request(**fields: Any) -> RecommendRequest:
    return msgspec.convert({"surface": "home", "user": {"user_id": "u"}} | fields, RecommendRequest)


def ask(state: SurfaceState, now: datetime = NOW, **fields: Any) -> Ranking:
    return rank(state, request(**fields), now)


def ask_for(subject: str, state: SurfaceState, now: datetime = NOW, **fields: Any) -> Ranking:
    """Ask for a user whose lists and history may be known."""
    return rank(state, request(**fields), now, subject)


def ids(ranking: Ranking) -> list[str]:
    return [each.item_id for each in ranking.items]


def scores(ranking: Ranking) -> dict[str, float]:
    return {each.item_id: each.score for each in ranking.items}


def codes(ranking: Ranking) -> list[str]:
    return [each.code for each in ranking.warnings]


def neighbour_lists(row_ids: Iterable[str], lists: Lists, index: Mapping[str, int]) -> NeighbourLists:
    """The rows of ``row_ids``; ``index`` gives the items their places."""
    found = [sorted((index[name], value) for name, value in lists.get(row, {}).items()) for row in row_ids]
    starts = np.cumsum([0, *(len(row) for row in found)], dtype=np.int64)
    flat = [pair for row in found for pair in row]
    return NeighbourLists(starts, as_indices(at for at, _ in flat), np.array([value for _, value in flat], np.float64))


def _with(signals: SurfaceSignals, fed: Fed) -> SurfaceSignals:
    index = {name: at for at, name in enumerate(signals.ids)}

    def lists(found: Lists | None) -> NeighbourLists | None:
        return None if found is None else neighbour_lists(index, found, index)

    return replace(
        signals,
        emb=lists(fed.emb),
        content=lists(fed.content),
        session=lists(fed.session),
        collab=None if fed.collab is None else user_lists(fed.collab, index),
        sessions=None if fed.sessions is None else session_index(fed.sessions, index),
        history=None if fed.history is None else history_of(fed.history, index),
    )


def user_lists(lists: Lists, index: Mapping[str, int]) -> UserLists:
    users = sorted(lists)
    return UserLists(make_ids(users), neighbour_lists(users, lists, index))


def session_index(sessions: Sequence[Sequence[str]], index: Mapping[str, int]) -> SessionIndex:
    starts = np.cumsum([0, *map(len, sessions)], dtype=np.int64)
    return build_session_index(starts, as_indices(index[name] for each in sessions for name in each), len(index))


def history_of(events: Iterable[Event], index: Mapping[str, int]) -> History:
    events = list(events)
    return build_history(
        [event.user for event in events],
        as_indices(index[event.item_id] for event in events),
        [event.kind for event in events],
        np.array([to_microseconds(event.at) for event in events], np.int64),
    )


class Found:
    """A Recall in plain Python."""

    def __init__(self) -> None:
        self._scores: dict[int, float] = {}

    def rows(self, lists: NeighbourLists, rows: Indices, weights: Values) -> None:
        for row, weight in zip(rows.tolist(), weights.tolist(), strict=True):
            items, values = lists.row(row)
            for item, value in zip(items.tolist(), (values * weight).tolist(), strict=True):
                self._scores[item] = self._scores.get(item, 0.0) + value

    def all(self) -> SparseScores:
        found = sorted(self._scores.items())
        return SparseScores(as_indices(at for at, _ in found), np.array([score for _, score in found], np.float64))
