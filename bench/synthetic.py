"""A synthetic shop, the same on every run: skewed popularity, skewed neighbours, tags, rules and requests."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from recsys.domain.catalogue import Covisit, Popularity, SurfaceRows

SURFACE = "home"
USERS = 20_000
ANONYMOUS, ANCHORED, KNOWN_USER = "anonymous popularity", "10 anchors", "known user"
EXCLUDING = "anonymous popularity, one item excluded"
EXPLAINED = "10 anchors, constraints, explain"
ALL_SIGNALS = "10 anchors, known user, all signals"
CASES = (ANONYMOUS, EXCLUDING, ANCHORED, KNOWN_USER, EXPLAINED)
CONFIG: dict[str, Any] = {
    "weights": {"pop": 1, "cooc": 0.5, "emb": 0.2},
    "popularity": {"half_life_days": 7},
    "diversity": {"mmr_lambda": 0.7},
    "exclude": {"event_types": ["purchase"], "window_days": 30},
}


def item_codes(items: int) -> npt.NDArray[np.int64]:
    """The number in each item's id; items are numbered by popularity, but their ids are not in that order."""
    return np.arange(items) * 7_919 % 1_000_003


def item_text(code: int) -> str:
    """The id with this number in it."""
    return f"item-{code:07d}"


def item_id(number: int) -> str:
    """The id of the item that stands at this place in popularity."""
    return item_text(number * 7_919 % 1_000_003)


def user_id(number: int) -> str:
    """One of the known users; in code point order."""
    return f"user-{number:07d}"


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
        boost = {"action": "boost", "target_type": "tag", "target_key": f"tag-{number:03d}", "boost_value": 0.05}
        made.append({"id": f"rule-{number}", **boost, **elsewhere[number % len(elsewhere)]})
    return made


def requests(items: int, count: int = 512, *, all_signals: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Bodies of ``POST /v1/recommend`` by case, as many different ones; ``all_signals``: also where all are in play."""
    draw = random.Random(7)
    plain: dict[str, Any] = {"surface": SURFACE, "k": 20}

    def anchors() -> dict[str, Any]:
        return {"item_ids": [item_id(int(items * draw.random() ** 2)) for _ in range(10)]}

    anonymous = [{**plain, "user": {"anonymous_id": f"a-{draw.getrandbits(64):016x}"}} for _ in range(count)]
    users = [{**plain, "user": {"user_id": user_id(draw.randrange(USERS))}} for _ in range(count)]
    anchored = [{**plain, "user": {"user_id": f"new-{number}"}, "anchors": anchors()} for number in range(count)]
    narrow = {
        "constraints": {"forbidden_tags": ["tag-001"], "max_per_tag": {"tag-002": 2}, "price_min": 5, "price_max": 400},
        "options": {"explain": "summary"},
    }
    popular = [{**each, "algorithm": "popularity"} for each in anonymous]
    cases = {
        ANONYMOUS: popular,
        EXCLUDING: [{**each, "candidates": {"exclude_ids": [item_id(at % items)]}} for at, each in enumerate(popular)],
        ANCHORED: anchored,
        KNOWN_USER: users,
        EXPLAINED: [{**each, **narrow} for each in anchored],
    }
    return {**cases, ALL_SIGNALS: [{**each, "anchors": anchors()} for each in users]} if all_signals else cases


def ndjson(rows: SurfaceRows) -> Iterator[tuple[str, bytes]]:
    """The path below the tenant and the body of each bulk load."""
    yield "items", _lines(rows.items)
    yield "signals/popularity", _lines([Popularity(item_id=i, day=day, score=s) for i, day, s in rows.popularity])
    covisits = [Covisit(item_id=i, neighbor_id=n, day=day, score=s) for i, n, day, s in rows.covisits]
    yield "signals/cooc", _lines(covisits)


def _lines(rows: Sequence[msgspec.Struct]) -> bytes:
    return msgspec.json.Encoder().encode_lines(rows)
