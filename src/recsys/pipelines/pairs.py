"""Which items go together: one self-join for sessions, users and tags alike, a part of the items at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from recsys.pipelines.pair_sums import add_up_pairs, fetch_pairs
from recsys.pipelines.window import FIXED_POINT
from recsys.ranking.arrays import Indices, NeighbourLists, Values, add_up
from recsys.ranking.weighting import Weighting, weigh

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine, Expression

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is."""


class Weighed(NamedTuple):
    """How pairs become lists: the formula, its exponents, and how many neighbours an item keeps."""

    weighting: Weighting
    neighbours: int
    alpha: float = 1.0
    beta: float = 0.6


class Neighbours(NamedTuple):
    """Lists of all items one after the other: int32 codes, ascending by item, then neighbour; float64 scores."""

    items: Indices
    neighbours: Indices
    scores: Values


def count_pairs(engine: Engine, visits: Expression) -> int:
    """How many pairs the self-join makes, repetitions included."""
    sizes = visits.group_by("part").agg(size=visits.count())
    total = engine.fetch(sizes.agg(pairs=(sizes["size"] * (sizes["size"] - 1)).sum())).column("pairs")[0].as_py()
    return int(total or 0)


def pairs_of(visits: Expression, chunks: int, chunk: int) -> Expression:
    """The pairs of items that share a part, once per part, for the items whose code is ``chunk`` modulo ``chunks``.

    ``visits``: part (whatever brings items together), item int32, weight int64; (part, item) unique. The result: item,
    neighbour, weight.
    """
    left = visits.filter(visits.item % chunks == chunk) if chunks > 1 else visits
    right = visits.view()
    both = left.join(right, [left.part == right.part, left.item != right.item])
    return both.select(item=left.item, neighbour=right.item, weight=left.weight)


def item_sums(visits: Expression) -> Expression:
    """Σ of the weights of each item's parts: item, total int64."""
    return visits.group_by("item").agg(total=visits.weight.sum().cast("int64"))


def neighbours_of(
    engine: Engine, visits: Expression, size: int, how: Weighed, pairs_per_chunk: int, progress: Progress
) -> Neighbours:
    """The lists of ``size`` items. Memory grows with ``pairs_per_chunk`` and with the result, not with all pairs.

    ``visits`` must be kept: it is read once per chunk.
    """
    chunks = max(1, -(-count_pairs(engine, visits) // pairs_per_chunk))
    counts = dense(engine.fetch(item_sums(visits)), size)
    parts = []
    for chunk, table in enumerate(_ahead(engine, (pairs_of(visits, chunks, each) for each in range(chunks)))):
        progress(chunk, chunks)
        lists = add_up_pairs(table, size)
        weighed = weigh(lists, how.weighting, counts=counts, alpha=how.alpha, beta=how.beta, keep=how.neighbours)
        parts.append(flatten(weighed))
    progress(chunks, chunks)
    return merged(parts)


def _ahead(engine: Engine, expressions: Iterable[Expression]) -> Iterator[pa.Table]:
    """What expressions give, in their order; while one is worked on, the engine computes the next."""
    with ThreadPoolExecutor(1) as computing:
        waiting: Future[pa.Table] | None = None
        for expression in expressions:
            following = computing.submit(fetch_pairs, engine, expression)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def dense(table: pa.Table, size: int) -> Values:
    """Sums by item as float64[size], out of fixed point; 0 where there are none."""
    sums = np.zeros(size)
    sums[table.column("item").to_numpy()] = table.column("total").to_numpy() / FIXED_POINT
    return sums


def flatten(lists: NeighbourLists) -> Neighbours:
    """Lists with the item of each entry beside it."""
    rows = np.repeat(np.arange(lists.starts.size - 1, dtype=np.int32), np.diff(lists.starts))
    return Neighbours(rows, lists.items, lists.values)


def merged(parts: list[Neighbours]) -> Neighbours:
    """Lists of different items as one: each is put where it belongs; sorting would be one thread's work of seconds."""
    size = max((int(part.items[-1]) + 1 for part in parts if part.items.size), default=0)
    lengths = [np.bincount(part.items, minlength=size) for part in parts]
    total = np.sum(lengths, axis=0, dtype=np.int64) if parts else np.zeros(0, np.int64)
    starts = np.cumsum(total) - total
    others, scores = np.empty(int(total.sum()), np.int32), np.empty(int(total.sum()))
    for part, own in zip(parts, lengths, strict=True):
        moved = starts - (np.cumsum(own) - own)
        places = np.arange(part.items.size) + moved[part.items]
        others[places], scores[places] = part.neighbours, part.scores
    return Neighbours(np.repeat(np.arange(size, dtype=np.int32), total), others, scores)


def as_shares(found: Neighbours, size: int) -> Neighbours:
    """Scores over the sum of their item's: the blend takes the largest of several signals, so they share one scale."""
    return found._replace(scores=found.scores / add_up(found.items, found.scores, size)[found.items])


def long_form(found: Neighbours, names: pa.Array) -> pa.Table:
    """Columns item_id, neighbor_id, score."""
    return pa.table(
        {
            "item_id": pa.DictionaryArray.from_arrays(pa.array(found.items), names),
            "neighbor_id": pa.DictionaryArray.from_arrays(pa.array(found.neighbours), names),
            "score": found.scores,
        }
    )


def blocks(count: int, at_a_time: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each so many."""
    for begin in range(0, count, at_a_time):
        yield begin, min(begin + at_a_time, count)
