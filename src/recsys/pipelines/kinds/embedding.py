"""``embedding``: neighbours by the cosine of vectors that the user brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from usearch.index import Index

from recsys.pipelines.errors import PipelineError
from recsys.pipelines.pairs import Neighbours, Progress, blocks, flatten, long_form, merged
from recsys.ranking.arrays import NeighbourLists
from recsys.ranking.weighting import prune

if TYPE_CHECKING:
    from recsys.pipelines.settings import Embedding

_PART: Final = 1 << 15
"""Coordinates are whole numbers of this part. Products of 2^30 at most, so a double holds every sum of them exactly,
and linear algebra gives the same bits in whatever order it adds."""
_ROWS_AT_A_TIME: Final = 1_000


def embedding(vectors: pa.Table, settings: Embedding, progress: Progress) -> pa.Table:
    """Columns item_id, neighbor_id, score: cosines above 0. ``vectors``: item_id, vector (a list of numbers).

    Raises:
        PipelineError: vectors of different lengths, an item twice, a vector that is zero or not finite.
    """
    vectors = vectors.sort_by("item_id")
    names = vectors.column("item_id").cast(pa.string()).combine_chunks()
    matrix = _directions(names, vectors.column("vector").combine_chunks())
    parts = []
    index = _index(matrix) if is_approximate(vectors, settings) else None
    for begin, end in blocks(len(names), _ROWS_AT_A_TIME):
        progress(begin, len(names))
        where = (matrix, begin, end, settings.neighbours)
        part = flatten(_exact(*where) if index is None else _near(index, *where))
        parts.append(Neighbours(part.items + np.int32(begin), part.neighbours, part.scores))
    return long_form(merged(parts), names)


def is_approximate(vectors: pa.Table, settings: Embedding) -> bool:
    """Whether neighbours are found by an index, whose arithmetic is that of the machine."""
    return bool(vectors.num_rows > settings.exact_items)


def _directions(names: pa.Array, lists: Any) -> Any:
    """Vectors of length 1, in whole numbers of 2^−15, as float64[N, D]."""
    if len(names) == 0 or pc.count_distinct(names).as_py() != len(names):
        raise PipelineError("vectors: item_id must be there, and unique.")
    lengths = pc.list_value_length(lists)
    if lengths.null_count or pc.min(lengths).as_py() != pc.max(lengths).as_py() or pc.min(lengths).as_py() == 0:
        raise PipelineError("vectors: all vectors must have the same length, above 0.")
    matrix = lists.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(len(names), -1)
    norms = np.sqrt((matrix * matrix).sum(axis=1, keepdims=True))
    bad = ~(np.isfinite(norms) & (norms > 0)).ravel()
    if bad.any():
        raise PipelineError(f"vectors: that of {names[int(bad.argmax())].as_py()!r} is zero or not finite.")
    return np.rint(matrix / norms * _PART)


def _exact(matrix: Any, begin: int, end: int, most: int) -> NeighbourLists:
    products = matrix[begin:end] @ matrix.T
    products[np.arange(end - begin), np.arange(begin, end)] = 0
    starts = np.arange(end - begin + 1, dtype=np.int64) * matrix.shape[0]
    every = np.tile(np.arange(matrix.shape[0], dtype=np.int32), end - begin)
    found = prune(NeighbourLists(starts, every, products.ravel() / _PART**2), most)
    near = found.values > 0
    return NeighbourLists(np.concatenate(([0], np.cumsum(near)))[found.starts], found.items[near], found.values[near])


def _index(matrix: Any) -> Any:
    """One thread, so that the same vectors make the same graph; searches do not change it.

    Half precision and a search of 40 while building cost little of what is found, since that is scored exactly.
    """
    index = Index(ndim=matrix.shape[1], metric="cos", dtype="f16", expansion_add=40, expansion_search=64)
    index.add(np.arange(matrix.shape[0]), matrix.astype(np.float32), threads=1)
    return index


def _near(index: Any, matrix: Any, begin: int, end: int, most: int) -> NeighbourLists:
    """Found approximately, scored exactly."""
    most = min(most + 1, matrix.shape[0])
    found = index.search(matrix[begin:end].astype(np.float32), most, threads=0).keys.reshape(end - begin, -1)
    found = np.sort(found.astype(np.int64), axis=1)
    scores = np.einsum("rd,rnd->rn", matrix[begin:end], matrix[found])
    good = (scores > 0) & (found != np.arange(begin, end)[:, None])
    lists = _picked(found, scores, good)
    return prune(lists, most - 1)  # an item is not always found among its own neighbours


def _picked(found: Any, scores: Any, good: Any) -> NeighbourLists:
    starts = np.concatenate(([0], np.cumsum(good.sum(axis=1)))).astype(np.int64)
    return NeighbourLists(starts, found[good].astype(np.int32), scores[good] / _PART**2)
