"""What is known about single users of a synthetic shop, and the lists that pipelines would compute for it."""

from __future__ import annotations

import numpy as np

from bench.synthetic import USERS, user_id
from recsys.domain.subject import SubjectKeys
from recsys.ranking.arrays import Indices, NeighbourLists
from recsys.ranking.history import History, UserLists
from recsys.ranking.ids import Ids, make_ids

SALT = "the salt of the benchmark"
_DAY_US = 86_400_000_000
_LAST_TIME = np.datetime64("2026-02-01T00:00:00", "us").astype(np.int64)
_DAYS = 60
_MEAN_EVENTS, _MOST_EVENTS = 30, 500
_KINDS = ("add_to_cart", "click", "purchase", "view")
_SHARES = (0.08, 0.15, 0.07, 0.70)
_USER_LIST, _ITEM_LIST = 100, 50
_SKEW = 2.0


def user_keys(tenant_id: str) -> Ids:
    """All users that a tenant knows, by the keys that the service knows them by under ``SALT``."""
    keys = SubjectKeys(SALT.encode())
    return make_ids(sorted(keys.key(tenant_id, "user_id", user_id(number)) for number in range(USERS)))


def history(places: Indices, tenant_id: str) -> History:
    """Two months of events, few for most users and hundreds for some; ``places``: items by popularity."""
    draw = np.random.default_rng(20_260_102)
    counts = np.minimum(1 + draw.exponential(_MEAN_EVENTS, USERS).astype(np.int64), _MOST_EVENTS)
    rows = np.repeat(np.arange(USERS), counts)
    items = places[(places.size * draw.random(rows.size) ** _SKEW).astype(np.int64)]
    times = _LAST_TIME - draw.integers(0, _DAYS * _DAY_US, rows.size)
    order = np.lexsort((items, times, rows))
    kinds = draw.choice(len(_KINDS), rows.size, p=_SHARES).astype(np.uint8)
    return History(user_keys(tenant_id), _starts(counts), items[order], kinds, times[order], _KINDS)


def user_lists(places: Indices, tenant_id: str) -> UserLists:
    """A collaborative list for every user."""
    return UserLists(user_keys(tenant_id), _lists(USERS, _USER_LIST, places, seed=20_260_103))


def item_lists(places: Indices, seed: int) -> NeighbourLists:
    """A list for every item with scores up to 1, as embeddings, content or sessions give them."""
    return _lists(places.size, _ITEM_LIST, places, seed)


def _lists(rows: int, count: int, places: Indices, seed: int) -> NeighbourLists:
    """So many items per row, popular ones more often; those drawn twice count once."""
    draw = np.random.default_rng(seed)
    drawn = np.sort(places[(places.size * draw.random((rows, count)) ** _SKEW).astype(np.int64)], axis=1)
    first = np.ones(drawn.shape, np.bool_)
    np.not_equal(drawn[:, 1:], drawn[:, :-1], out=first[:, 1:])
    kept = drawn[first]
    return NeighbourLists(_starts(first.sum(axis=1)), kept, draw.random(kept.size) ** _SKEW)


def _starts(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts
