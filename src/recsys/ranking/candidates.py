"""Which items are considered: the most popular, the neighbours of the anchors and what rules boost, filters first."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from recsys.ranking.arrays import NO_INDICES, Indices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recsys.ranking.constraints import Filters
    from recsys.ranking.popularity import PopularityRanking


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The candidates, ascending and unique; where they came from; and whether no eligible item is left outside."""

    items: Indices
    sources: Mapping[str, Indices]
    exhausted: bool


def draw(
    popularity: PopularityRanking, filters: Filters, boost_order: Indices, neighbours: Indices, fanout: int
) -> Drawn:
    """The ``fanout`` most popular eligible items, as many boosted ones, and the neighbours (filtered already)."""
    popular = first_eligible(_popularity_order(popularity, filters.pool, fanout), filters.keep, fanout)
    lifted = first_eligible(boost_order, filters.keep, fanout)
    parts = [part for part in (popular, neighbours, lifted) if part.size]
    return Drawn(
        items=np.unique(np.concatenate(parts)) if parts else NO_INDICES,
        sources={"popularity": popular, "neighbours": neighbours, "boosted": lifted},
        exhausted=popular.size < fanout,
    )


def draw_included(filters: Filters, included: Sequence[int]) -> Drawn:
    """The eligible ones among the items that the request names as its only candidates."""
    items = filters.keep(np.unique(np.fromiter(included, np.int32, len(included))))
    return Drawn(items=items, sources={"included": items}, exhausted=True)


def first_eligible(order: Indices, keep: Callable[[Indices], Indices], count: int) -> Indices:
    """Walk ``order`` until ``count`` items pass: the work grows with what is filtered, not with the catalogue."""
    found: list[Indices] = []
    missing, start, size = count, 0, count
    while missing > 0 and start < order.size:
        kept = keep(order[start : start + size])[:missing]
        found.append(kept)
        missing -= kept.size
        start, size = start + size, size * 2
    if len(found) == 1:
        return found[0]
    return np.concatenate(found) if found else NO_INDICES


def _popularity_order(popularity: PopularityRanking, pool: Indices | None, fanout: int) -> Indices:
    """What to walk: everything, or the items of a rare required tag, which are quicker to sort than to come across.

    Coming across ``fanout`` of P items among N takes about fanout·N/P looks, so sorting wins while P² < fanout·N.
    """
    if pool is None or pool.size > sqrt(fanout * popularity.order.size):
        return popularity.order
    return pool[np.argsort(popularity.rank[pool])]
