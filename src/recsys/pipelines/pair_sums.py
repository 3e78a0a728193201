"""Σ of the weights of pairs of items, as lists: counted row by row, which costs a fraction of grouping them by hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsys.pipelines.window import FIXED_POINT
from recsys.ranking.arrays import Indices, NeighbourLists
from recsys.ranking.compiler import compiled_for_threads

if TYPE_CHECKING:
    import pyarrow as pa

    from recsys.pipelines.engine import Engine, Expression

Longs = npt.NDArray[np.int64]


def fetch_pairs(engine: Engine, pairs: Expression) -> pa.Table:
    """Pairs (item int32, neighbour int32, weight int64 above 0), some of them more than once.

    Where rows travel from machine to machine, those of one pair are added up before they do; whole numbers, so that
    it makes no difference to :func:`add_up_pairs`.
    """
    if engine.remote:
        pairs = pairs.group_by("item", "neighbour").agg(weight=pairs.weight.sum().cast("int64"))
    return engine.fetch(pairs)


def add_up_pairs(pairs: pa.Table, size: int) -> NeighbourLists:
    """The sums of the pairs of ``size`` items, in any order and as often as they come; out of fixed point."""
    items, neighbours, weights = (_whole(pairs, name) for name in ("item", "neighbour", "weight"))
    starts = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(items, minlength=size), out=starts[1:])
    columns, sums = np.empty(items.size, np.int32), np.empty(items.size, np.int64)
    _place(items, neighbours, weights, starts[:-1].copy(), columns, sums)
    ends = np.zeros(size + 1, np.int64)
    _add_up(starts, columns, sums, np.zeros(size, np.int64), ends)
    kept = int(ends[-1])
    return NeighbourLists(ends, columns[:kept].copy(), sums[:kept] / FIXED_POINT)


def _whole(pairs: pa.Table, name: str) -> Any:
    return pairs.column(name).to_numpy()


@compiled_for_threads
def _place(items: Indices, neighbours: Indices, weights: Longs, free: Longs, columns: Indices, sums: Longs) -> None:
    """Put every pair into its row. ``free``: where the next entry of each row goes."""
    for each in range(items.size):
        at = free[items[each]]
        free[items[each]] = at + 1
        columns[at] = neighbours[each]
        sums[at] = weights[each]


@compiled_for_threads
def _add_up(starts: Longs, columns: Indices, sums: Longs, own: Longs, ends: Longs) -> None:
    """In place: each row's different columns, ascending, with their sums, the rows without gaps; ``ends`` are theirs.

    ``own``: a place for the sum of every column, zero before and after.
    """
    into = 0
    for row in range(starts.size - 1):
        begin = into
        for at in range(starts[row], starts[row + 1]):
            column = columns[at]
            if own[column] == 0:
                columns[into] = column  # never beyond ``at``, which has been read
                into += 1
            own[column] += sums[at]
        columns[begin:into].sort()
        for at in range(begin, into):
            sums[at] = own[columns[at]]
            own[columns[at]] = 0
        ends[row + 1] = into
