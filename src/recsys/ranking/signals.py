"""The signals of one surface as immutable arrays, built once per load and independent of the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import Csr, Indices, Mask, Values, add_up, make_csr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from recsys.domain.catalogue import Item, SurfaceRows

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    return (at - EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True, eq=False)
class PopularityRows:
    """Daily popularity, sorted by item, then day. ``ages``: days before the latest day of these rows (float64)."""

    items: Indices
    ages: Values
    scores: Values


@dataclass(frozen=True, slots=True, eq=False)
class CoocRows:
    """n(a, i), summed over days: ``neighbours.row(a)`` holds the items i, ``values`` their counts alike."""

    neighbours: Csr
    values: Values

    def row(self, index: int) -> tuple[Indices, Values]:
        """The neighbours of one item (ascending) and their counts, as views."""
        begin, end = self.neighbours.starts[index], self.neighbours.starts[index + 1]
        return self.neighbours.columns[begin:end], self.values[begin:end]


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceSignals:
    """Everything known about the N items of a surface; an item's index is its place in code point order.

    ``prices`` float64[N], NaN where unknown; ``created_at`` int64[N] in microseconds, valid where ``has_created_at``;
    ``tags`` the vocabulary in code point order; ``item_tags`` item → tags and ``tag_items`` tag → items.
    """

    surface: str
    data_revision: int
    ids: tuple[str, ...]
    index: dict[str, int]
    prices: Values
    created_at: npt.NDArray[np.int64]
    has_created_at: Mask
    tags: tuple[str, ...]
    tag_index: dict[str, int]
    item_tags: Csr
    tag_items: Csr
    popularity: PopularityRows
    cooc: CoocRows

    def find(self, item_ids: Sequence[str]) -> list[int]:
        """The indices of those ids that are known, in the order given."""
        index = self.index
        return [index[item_id] for item_id in item_ids if item_id in index]

    def decayed_popularity(self, half_life_days: float | None) -> Values:
        """Pop(i), float64[N]: Σ over days of score · 2^(−age/half_life_days); None counts every day alike."""
        rows = self.popularity
        weights = rows.scores if half_life_days is None else rows.scores * np.exp2(-(rows.ages / half_life_days))
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
    ids = tuple(sorted(known))
    index = {item_id: at for at, item_id in enumerate(ids)}
    prices, created_at, has_created_at = _facts(rows.items, index)
    tags, item_tags, tag_items = _tags(rows.items, index)
    return SurfaceSignals(
        surface=rows.surface,
        data_revision=rows.data_revision,
        ids=ids,
        index=index,
        prices=prices,
        created_at=created_at,
        has_created_at=has_created_at,
        tags=tags,
        tag_index={tag: at for at, tag in enumerate(tags)},
        item_tags=item_tags,
        tag_items=tag_items,
        popularity=_popularity(rows.popularity, index),
        cooc=_cooc(rows.covisits, index),
    )


def _facts(items: Sequence[Item], index: dict[str, int]) -> tuple[Values, npt.NDArray[np.int64], Mask]:
    prices = np.full(len(index), np.nan)
    created_at = np.zeros(len(index), np.int64)
    has_created_at = np.zeros(len(index), np.bool_)
    for item in items:
        at = index[item.item_id]
        if item.price is not None:
            prices[at] = item.price
        if item.created_at is not None:
            created_at[at] = to_microseconds(item.created_at)
            has_created_at[at] = True
    return prices, created_at, has_created_at


def _tags(items: Sequence[Item], index: dict[str, int]) -> tuple[tuple[str, ...], Csr, Csr]:
    tagged = [(index[item.item_id], item.all_tags()) for item in items]
    vocabulary = tuple(sorted({tag for _, tags in tagged for tag in tags}))
    tag_index = {tag: at for at, tag in enumerate(vocabulary)}
    owners = np.repeat(
        np.fromiter((at for at, _ in tagged), np.int32, len(tagged)),
        np.fromiter((len(tags) for _, tags in tagged), np.int64, len(tagged)),
    )
    tags = np.fromiter((tag_index[tag] for _, tags in tagged for tag in tags), np.int32, owners.size)
    by_item = np.lexsort((tags, owners))
    by_tag = np.lexsort((owners, tags))
    return (
        vocabulary,
        make_csr(owners[by_item], tags[by_item], len(index)),
        make_csr(tags[by_tag], owners[by_tag], len(vocabulary)),
    )


def _popularity(rows: Sequence[tuple[str, date, float]], index: dict[str, int]) -> PopularityRows:
    count = len(rows)
    items = np.fromiter((index[item_id] for item_id, _, _ in rows), np.int32, count)
    days = np.fromiter((day.toordinal() for _, day, _ in rows), np.int64, count)
    scores = np.fromiter((score for _, _, score in rows), np.float64, count)
    order = np.lexsort((scores, days, items))
    ages = (days.max(initial=0) - days).astype(np.float64)
    return PopularityRows(items[order], ages[order], scores[order])


def _cooc(rows: Sequence[tuple[str, str, date, float]], index: dict[str, int]) -> CoocRows:
    count = len(rows)
    items = np.fromiter((index[item_id] for item_id, _, _, _ in rows), np.int32, count)
    neighbours = np.fromiter((index[neighbour_id] for _, neighbour_id, _, _ in rows), np.int32, count)
    days = np.fromiter((day.toordinal() for _, _, day, _ in rows), np.int64, count)
    scores = np.fromiter((score for _, _, _, score in rows), np.float64, count)
    order = np.lexsort((scores, days, neighbours, items))
    items, neighbours = items[order], neighbours[order]
    first = np.ones(count, np.bool_)
    first[1:] = (items[1:] != items[:-1]) | (neighbours[1:] != neighbours[:-1])
    sums = add_up(np.cumsum(first) - 1, scores[order], int(first.sum()))
    counted = sums > 0
    pairs_of, pairs_with = items[first][counted], neighbours[first][counted]
    return CoocRows(make_csr(pairs_of, pairs_with, len(index)), sums[counted])
