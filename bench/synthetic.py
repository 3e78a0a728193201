"""A synthetic shop, the same on every run: skewed popularity, skewed neighbours, tags, rules and requests."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from recsys.domain.catalogue import Covisit, Item, Popularity, SurfaceRows

SURFACE = "home"
CONFIG: dict[str, Any] = {
    "weights": {"pop": 1, "cooc": 0.5, "emb": 0.2},
    "popularity": {"half_life_days": 7},
}
_FIRST_DAY = date(2026, 1, 1)
_OPENING = datetime(2025, 1, 1, tzinfo=UTC)
_SKEW = 0.9
_TAGS, _BRANDS, _CATEGORIES = 200, 100, 30


def item_id(number: int) -> str:
    """Items are numbered by popularity; their ids are not in that order."""
    return f"item-{number * 7_919 % 1_000_003:07d}"


def surface_rows(items: int, *, neighbours: int, days: int) -> SurfaceRows:
    """A surface with five tags per item: three of its own, the brand and the category."""
    draw = random.Random(20_260_101)
    ids = [item_id(number) for number in range(items)]
    dates = [_FIRST_DAY + timedelta(days=day) for day in range(days)]
    return SurfaceRows(
        surface=SURFACE,
        data_revision=1,
        items=[_item(each, draw) for each in ids],
        popularity=[
            (each, day, round(1e6 / (number + 1) ** _SKEW * draw.uniform(0.5, 1.5), 3))
            for number, each in enumerate(ids)
            for day in dates
        ],
        covisits=[
            (each, ids[other], _FIRST_DAY, float(draw.randint(1, 100)))
            for number, each in enumerate(ids)
            for other in _neighbours(number, items, neighbours, draw)
        ],
    )


def _item(each: str, draw: random.Random) -> Item:
    return Item(
        item_id=each,
        title=f"The product {each}",
        tags=[f"tag-{number}" for number in draw.sample(range(_TAGS), 3)],
        brand=f"brand-{draw.randrange(_BRANDS)}",
        category=f"category-{draw.randrange(_CATEGORIES)}",
        price=round(draw.uniform(1, 500), 2),
        created_at=_OPENING + timedelta(days=draw.randrange(365)),
    )


def _neighbours(number: int, items: int, count: int, draw: random.Random) -> set[int]:
    """Other items, popular ones more often than others."""
    chosen: set[int] = set()
    while len(chosen) < count:
        other = int(items * draw.random() ** 2)
        if other != number:
            chosen.add(other)
    return chosen


def rules() -> list[dict[str, Any]]:
    """Fifty rules: ten boosts, a pin and a block that match, and others that do not apply here or now."""
    made: list[dict[str, Any]] = [
        {"id": "pin", "action": "pin", "target_type": "item", "item_ids": [item_id(300)], "surface": SURFACE},
        {"id": "block", "action": "block", "target_type": "item", "item_ids": [item_id(3), item_id(5)]},
    ]
    elsewhere: Sequence[dict[str, Any]] = [
        {"surface": SURFACE},
        {"surface": "checkout"},
        {"segment": "vip"},
        {"valid_until": "2025-01-01T00:00:00Z"},
        {"enabled": False},
    ]
    for number in range(48):
        boost = {"action": "boost", "target_type": "tag", "target_key": f"tag-{number}", "boost_value": 0.05}
        made.append({"id": f"rule-{number}", **boost, **elsewhere[number % len(elsewhere)]})
    return made


def requests(items: int, count: int = 64) -> dict[str, list[dict[str, Any]]]:
    """Bodies of ``POST /v1/recommend`` by case."""
    draw = random.Random(7)
    plain: dict[str, Any] = {"surface": SURFACE, "k": 20}
    popularity = {**plain, "user": {"anonymous_id": "a-1"}, "algorithm": "popularity"}
    anchored = [
        {
            **plain,
            "user": {"user_id": f"u-{number}"},
            "anchors": {"item_ids": [item_id(int(items * draw.random() ** 2)) for _ in range(10)]},
        }
        for number in range(count)
    ]
    narrow = {
        "constraints": {"forbidden_tags": ["tag-1"], "max_per_tag": {"tag-2": 2}, "price_min": 5, "price_max": 400},
        "options": {"explain": "summary"},
    }
    return {
        "anonymous popularity": [popularity],
        "10 anchors": anchored,
        "10 anchors, constraints, explain": [{**each, **narrow} for each in anchored],
    }


def ndjson(rows: SurfaceRows) -> Iterator[tuple[str, bytes]]:
    """The path below the tenant and the body of each bulk load."""
    yield "items", _lines(rows.items)
    yield "signals/popularity", _lines([Popularity(item_id=i, day=day, score=s) for i, day, s in rows.popularity])
    covisits = [Covisit(item_id=i, neighbor_id=n, day=day, score=s) for i, n, day, s in rows.covisits]
    yield "signals/cooc", _lines(covisits)


def _lines(rows: Sequence[msgspec.Struct]) -> bytes:
    return msgspec.json.Encoder().encode_lines(rows)
