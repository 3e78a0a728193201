"""``content_sim``: items of like tags, by the cosine of TF-IDF; compiled loops, whatever the engine."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.pipelines.pairs import Neighbours, Progress, as_shares, blocks, long_form
from recsys.ranking.arrays import Indices, Values, add_up, make_csr
from recsys.ranking.compiler import compiled_for_threads

if TYPE_CHECKING:
    from recsys.pipelines.settings import ContentSim

_PART: Final = 1 << 10
"""An inverse document frequency is a whole number of this part, its square and sums of those are whole numbers, too."""
_ROWS_AT_A_TIME: Final = 4_096


class Tagged(NamedTuple):
    """Items as sets of tags: rarer tags have lower codes.

    ``tags[starts[i]:starts[i + 1]]``: of item i, ascending. ``weights``: idf² of each tag; ``norms``: Σ of it over each
    item's tags. ``items[list_starts[t]:list_starts[t + 1]]``: of tag t, the smallest norm first, then ascending.
    """

    starts: npt.NDArray[np.int64]
    tags: Indices
    weights: Values
    norms: Values
    list_starts: npt.NDArray[np.int64]
    items: Indices


def content_sim(catalog: pa.Table, settings: ContentSim, progress: Progress, threads: int | None = None) -> pa.Table:
    """Columns item_id, neighbor_id, score: exactly the best of each item, of equal ones those that come first.

    tf is 0 or 1 and idf(t) = log2((N + 1) / n(t)), 0 for a tag that every item has. So Σ over shared tags of idf² is
    the product of two items' vectors, and it is divided by the roots of both norms, then by the sum of what the item
    keeps. ``threads`` None: one per core; they change nothing but the time.
    """
    names = catalog.column("item_id").combine_chunks()
    tagged = read_tags(catalog.column("tags").combine_chunks())
    ranges = list(blocks(len(names), _ROWS_AT_A_TIME))
    parts: list[Neighbours] = []
    with ThreadPoolExecutor(threads or os.cpu_count()) as workers:
        for part in workers.map(lambda rows: _neighbours(tagged, rows[0], rows[1], settings.neighbours), ranges):
            progress(len(parts), len(ranges))
            parts.append(part)
    empty = Neighbours(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))
    whole = Neighbours(*map(np.concatenate, zip(empty, *parts, strict=True)))
    return long_form(as_shares(whole, len(names)), names)


def read_tags(lists: pa.Array) -> Tagged:
    """Count and weigh the tags of items; one that every item has tells nothing apart, and is left out."""
    parents: Any = pc.list_parent_indices(lists).to_numpy()
    encoded = pc.dictionary_encode(lists.flatten())
    texts = pc.rank(encoded.dictionary).to_numpy() if len(encoded.dictionary) else np.empty(0, np.int64)
    found = np.bincount(encoded.indices.to_numpy(), minlength=texts.size)
    rarest_first = np.lexsort((texts, found))
    codes = np.empty(texts.size, np.int64)
    codes[rarest_first] = np.arange(texts.size)
    weights = np.array([_weight(len(lists), count) for count in found[rarest_first].tolist()], np.float64)
    keys = np.unique(parents * max(texts.size, 1) + codes[encoded.indices.to_numpy()])
    items, tags = (each.astype(np.int32) for each in np.divmod(keys, max(texts.size, 1)))
    told = weights[tags] > 0
    items, tags = items[told], tags[told]
    norms = add_up(items, weights[tags], len(lists))
    order = np.lexsort((items, norms[items], tags))
    by_item, by_tag = make_csr(items, tags, len(lists)), make_csr(tags[order], items[order], weights.size)
    return Tagged(by_item.starts, by_item.columns, weights, norms, by_tag.starts, by_tag.columns)


def _weight(items: int, holding: int) -> int:
    """idf²; 0 where all items hold the tag. Rounding after the logarithm hides in which last bit machines differ."""
    return round(_PART * math.log2((items + 1) / holding)) ** 2 if holding < items else 0


def _neighbours(tagged: Tagged, begin: int, end: int, keep: int) -> Neighbours:
    items, scores = np.empty((end - begin, keep), np.int32), np.empty((end - begin, keep))
    lengths = np.zeros(end - begin, np.int64)
    _find(begin, tagged, items, scores, lengths)
    found = np.arange(keep) < lengths[:, None]
    rows = np.repeat(np.arange(begin, end, dtype=np.int32), lengths)
    order = np.lexsort((items[found], rows))
    return Neighbours(rows, items[found][order], scores[found][order])


@compiled_for_threads
def _find(begin: int, tagged: Tagged, best: Indices, scores: Values, lengths: npt.NDArray[np.int64]) -> None:
    """The best of a row of items from ``begin``, best first.

    The lists of an item's tags are read from the rarest tag on, an item when it is first met is scored at once with all
    tags, and a list is left where nothing new in it can be good enough: who has not been met shares at most what
    ``rest`` adds up to, and from here on has at least this norm. That is why a tag of half the catalog costs little
    where better neighbours are known. Weights are whole numbers, so sums are exact and a larger bound is never a
    smaller float.
    """
    starts, tags, weights, norms, list_starts, listed = tagged
    keep = best.shape[1]
    met = np.full(starts.size - 1, -1, np.int32)
    shared = np.zeros(weights.size, np.float64)
    for row in range(lengths.size):
        item = begin + row
        met[item] = item
        rest, count = norms[item], 0
        for at in range(starts[item], starts[item + 1]):
            shared[tags[at]] = weights[tags[at]]
        for at in range(starts[item], starts[item + 1]):
            for place in range(list_starts[tags[at]], list_starts[tags[at] + 1]):
                other = listed[place]
                if met[other] == item:
                    continue
                if count == keep:
                    bound = rest / np.sqrt(norms[item] * max(norms[other], rest))
                    tie = norms[other] >= rest and other > best[row, keep - 1]
                    if bound < scores[row, keep - 1] or (bound == scores[row, keep - 1] and tie):
                        break
                met[other] = item
                product = 0.0
                for each in range(starts[other], starts[other + 1]):
                    product += shared[tags[each]]
                score = product / np.sqrt(norms[item] * norms[other])
                count = _insert(best[row], scores[row], count, other, score)
            rest -= weights[tags[at]]
        for at in range(starts[item], starts[item + 1]):
            shared[tags[at]] = 0.0
        lengths[row] = count


@compiled_for_threads
def _insert(best: Indices, scores: Values, count: int, item: int, score: float) -> int:
    """Put an item in its place among those kept, by score, then code; returns how many there are now."""
    at = count
    while at > 0 and (scores[at - 1] < score or (scores[at - 1] == score and best[at - 1] > item)):
        at -= 1
    if at == best.size:
        return count
    count = min(count + 1, best.size)
    for later in range(count - 1, at, -1):
        best[later], scores[later] = best[later - 1], scores[later - 1]
    best[at], scores[at] = item, score
    return count
