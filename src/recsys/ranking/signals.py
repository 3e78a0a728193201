"""The signals of one surface as immutable arrays, built once per load and independent of the order of the rows."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import Csr, Indices, Mask, NeighbourLists, Values, add_up, decay, make_csr
from recsys.ranking.ids import Ids, make_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recsys.domain.catalogue import Item, SurfaceRows
    from recsys.ranking.history import History, UserLists
    from recsys.ranking.session_index import SessionIndex

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER: Final = np.iinfo(np.int64).min
"""``created_at`` of an item whose time is unknown: before every other."""
_MICROSECOND = timedelta(microseconds=1)
_BLOCK: Final = 1_024


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    return (at - EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True, eq=False)
class PopularityRows:
    """Daily popularity, sorted by item, then day. ``ages``: days before the latest day of these rows (float64)."""

    items: Indices
    ages: Values
    scores: Values


class ItemFacts(NamedTuple):
    """What is known about each of N items, as the fields of the same names in :class:`SurfaceSignals`."""

    prices: Values
    created_at: npt.NDArray[np.int64]
    tags: tuple[str, ...]
    item_tags: Csr
    tag_items: Csr


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceSignals:
    """Everything known about the N items of a surface; an item's index is its place in code point order.

    ``data_revision``: of the rows that these were made from; 0 where artifacts alone were.
    ``prices`` float64[N], NaN where unknown; ``created_at`` int64[N] in microseconds since 1970 UTC, ``NEVER`` where
    unknown; ``tags`` the vocabulary in code point order; ``item_tags`` item → tags and ``tag_items`` tag → items.
    Of the lists, one row per item: ``cooc.row(a)`` holds n(a, i) summed over days. ``collab`` and ``history`` have a
    row per user; ``sessions`` takes the place of ``session`` where there is one. None: no such data.
    """

    surface: str
    data_revision: int
    ids: Ids
    prices: Values
    created_at: npt.NDArray[np.int64]
    tags: tuple[str, ...]
    tag_index: dict[str, int]
    item_tags: Csr
    tag_items: Csr
    popularity: PopularityRows
    cooc: NeighbourLists
    emb: NeighbourLists | None = None
    content: NeighbourLists | None = None
    session: NeighbourLists | None = None
    sessions: SessionIndex | None = None
    collab: UserLists | None = None
    history: History | None = None

    def decayed_popularity(self, half_life_days: float | None) -> Values:
        """Pop(i), float64[N]: Σ over days of score · 2^(−age/half_life_days); None counts every day alike."""
        rows = self.popularity
        weights = rows.scores if half_life_days is None else rows.scores * decay(rows.ages, half_life_days)
        return add_up(rows.items, weights, len(self.ids))


def build_signals(rows: SurfaceRows) -> SurfaceSignals:
    """Turn the rows of a surface, in whatever order, into arrays.

    The universe is every id that the items, the popularity or either side of the co-visitation names: an item that was
    never described can still be popular.
    """
    known = {item.item_id for item in rows.items}
    known.update(item_id for item_id, _, _ in rows.popularity)
    for item_id, neighbour_id, _, _ in rows.covisits:
        known.add(item_id)
        known.add(neighbour_id)
    ids = _ordered(known)
    index = {item_id: at for at, item_id in enumerate(ids)}
    owners = _column(map(index.__getitem__, (item.item_id for item in rows.items)), len(rows.items), np.int32)
    facts = describe_items(rows.items, owners, len(index))
    return SurfaceSignals(
        surface=rows.surface,
        data_revision=rows.data_revision,
        ids=make_ids(ids),
        tag_index={tag: at for at, tag in enumerate(facts.tags)},
        **facts._asdict(),
        popularity=_popularity(rows.popularity, index),
        cooc=_cooc(rows.covisits, index),
    )


def describe_items(items: Sequence[Item], owners: Indices, count: int) -> ItemFacts:
    """What described items say about the ``count`` of a surface; ``owners``: the index of each of them (int32)."""
    prices, created_at = _facts(items, owners, count)
    return ItemFacts(prices, created_at, *_tags(items, owners, count))


def index_tags(owners: npt.NDArray[np.int64], tags: npt.NDArray[np.int64], count: int, tag_count: int) -> Csr:
    """The items of each tag, for entries of which no two are alike: item ``owners[n]`` of ``count`` has ``tags[n]``."""
    return make_csr(*_apart(np.sort(tags * count + owners), count), tag_count)


_FIRST, _SECOND, _THIRD, _FOURTH = map(itemgetter, range(4))


def _ordered(texts: set[str]) -> list[str]:
    """The texts in order. In parts, since sorting millions at once would stop all other threads for a second."""
    bounds = sorted(islice(texts, 0, None, _BLOCK))
    parts: list[list[str]] = [[] for _ in range(len(bounds) + 1)]
    for text in texts:
        parts[bisect_right(bounds, text)].append(text)
    ordered: list[str] = []
    for part in parts:
        part.sort()
        ordered += part
    return ordered


def _column(values: Iterable[Any], count: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The first ``count`` values as an array. In blocks, between which other threads get their turn."""
    source, column = iter(values), np.empty(count, dtype)
    for begin in range(0, count, _BLOCK):
        block = column[begin : begin + _BLOCK]
        block[:] = np.fromiter(source, dtype, block.size)
    return column


def _facts(items: Sequence[Item], owners: Indices, count: int) -> tuple[Values, npt.NDArray[np.int64]]:
    prices = np.full(count, np.nan)
    prices[owners] = _column((np.nan if item.price is None else item.price for item in items), len(items), np.float64)
    created_at = np.full(count, NEVER, np.int64)
    times = (NEVER if item.created_at is None else to_microseconds(item.created_at) for item in items)
    created_at[owners] = _column(times, len(items), np.int64)
    return prices, created_at


def _tags(items: Sequence[Item], owners: Indices, count: int) -> tuple[tuple[str, ...], Csr, Csr]:
    tagged = [item.all_tags() for item in items]
    vocabulary = tuple(_ordered({tag for tags in tagged for tag in tags}))
    index = {tag: at for at, tag in enumerate(vocabulary)}
    of_tags = np.repeat(owners.astype(np.int64), _column(map(len, tagged), len(tagged), np.int64))
    tags = _column(map(index.__getitem__, chain.from_iterable(tagged)), of_tags.size, np.int64)
    by_item = make_csr(*_apart(np.sort(of_tags * len(index) + tags), len(index)), count)
    return vocabulary, by_item, index_tags(of_tags, tags, count, len(index))


def _popularity(rows: Sequence[tuple[str, date, float]], index: dict[str, int]) -> PopularityRows:
    count = len(rows)
    items = _column(map(index.__getitem__, map(_FIRST, rows)), count, np.int32)
    days = _column(map(date.toordinal, map(_SECOND, rows)), count, np.int64)
    scores = _column(map(_THIRD, rows), count, np.float64)
    order = np.lexsort((scores, days, items))
    ages = (days.max(initial=0) - days).astype(np.float64)
    return PopularityRows(items[order], ages[order], scores[order])


def _cooc(rows: Sequence[tuple[str, str, date, float]], index: dict[str, int]) -> NeighbourLists:
    count = len(rows)
    items = _column(map(index.__getitem__, map(_FIRST, rows)), count, np.int64)
    neighbours = _column(map(index.__getitem__, map(_SECOND, rows)), count, np.int64)
    days = _column(map(date.toordinal, map(_THIRD, rows)), count, np.int64)
    scores = _column(map(_FOURTH, rows), count, np.float64)
    pairs = items * len(index) + neighbours
    order = np.argsort(pairs, kind="stable")
    first = _first(pairs[order])
    if not first.all():  # sums are made day by day, so the order matters where a pair has several
        order = np.lexsort((scores, days, pairs))
    pairs = pairs[order]
    sums = add_up(np.cumsum(first) - 1, scores[order], int(first.sum()))
    counted = sums > 0
    lists = make_csr(*_apart(pairs[first][counted], len(index)), len(index))
    return NeighbourLists(lists.starts, lists.columns, sums[counted])


def _first(ordered: npt.NDArray[np.int64]) -> Mask:
    """Where a value stands for the first time."""
    first = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


def _apart(pairs: npt.NDArray[np.int64], count: int) -> tuple[Indices, Indices]:
    """Left and right of each ``left * count + right``."""
    left, right = np.divmod(pairs, max(count, 1))
    return left.astype(np.int32), right.astype(np.int32)
