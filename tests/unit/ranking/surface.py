"""A small surface and short ways to ask it, shared by the ranking and serving tests."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec

from recsys.domain.catalogue import Item, SurfaceRows
from recsys.domain.config import Config, resolve
from recsys.domain.recommend import RecommendRequest
from recsys.domain.rules import Rule
from recsys.ranking.pipeline import Ranking, rank
from recsys.ranking.popularity import rank_popularity
from recsys.ranking.scores import Signal
from recsys.ranking.signals import build_signals
from recsys.ranking.state import SurfaceState, compose_surface

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


def surface(
    data: SurfaceRows,
    config: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | None = None,
    **sources: Signal,
) -> SurfaceState:
    settings = resolve(msgspec.convert(config or {}, Config), data.surface)
    signals = build_signals(data)
    popularity = rank_popularity(signals, settings.popularity.half_life_days)
    return compose_surface(signals, popularity, settings, msgspec.convert(rules or [], list[Rule]), sources)


def request(**fields: Any) -> RecommendRequest:
    return msgspec.convert({"surface": "home", "user": {"user_id": "u"}} | fields, RecommendRequest)


def ask(state: SurfaceState, now: datetime = NOW, **fields: Any) -> Ranking:
    return rank(state, request(**fields), now)


def ids(ranking: Ranking) -> list[str]:
    return [each.item_id for each in ranking.items]


def codes(ranking: Ranking) -> list[str]:
    return [each.code for each in ranking.warnings]
