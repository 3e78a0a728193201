"""VMIS-kNN: the past sessions that are most like the present one (Kersbergen, Sprangers, Schelter, SIGMOD 2022)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import Csr, Indices, NeighbourLists, Values, make_csr
from recsys.ranking.compiler import Addresses, Packed, compiled_raw, float64s, int32s, int64s, pack, pointer

MOST_RECENT: Final = 500
"""m: of the sessions that share an item with the present one, so many of the most recent are looked at."""
MOST_ALIKE: Final = 50
"""k: so many of these speak."""
_LN2: Final = 0.6931471805599453
_TERMS: Final = 13


@dataclass(frozen=True, slots=True, eq=False)
class SessionIndex:
    """S past sessions, numbered by their age, the oldest first, over N items.

    ``postings``: item → the sessions that have it, ascending; ``items``: session → its different items, ascending, each
    with its idf(i) = ln(S / sessions that have i), worked out by rounded sums and products alone, so alike everywhere.
    """

    postings: Csr
    items: NeighbourLists
    _packed: Packed = field(init=False, repr=False)

    def __post_init__(self) -> None:
        arrays = (self.postings.starts, self.postings.columns, self.items.starts, self.items.values)
        object.__setattr__(self, "_packed", pack(arrays, "lild"))

    def find(self, anchors: Indices) -> tuple[Indices, Values]:
        """The k sessions that are most like the anchors (items, each once, the last one last), and their weights.

        Among the m most recent sessions that have an anchor: similarity r = Σ over shared anchors of place/count, with
        place 1 for the oldest of ``count`` anchors. The most similar come first; of equals, the more recent. A session
        says r · max(0, 1 − x/10), where x = 1 when it has the last anchor, 2 when the latest that it has is the one
        before, and so on.

        Its weight is that times f, the same for all of them, so that the scores of all items, Σ over sessions of weight
        · idf, come to Σ place/count: 1 for one anchor, 3/2 for two. These are shares, as in the lists of other signals,
        whatever the number of sessions: the blend takes the largest of several signals.
        """
        sessions, weights = np.empty(MOST_ALIKE, np.int32), np.empty(MOST_ALIKE)
        similarities, ends = np.empty(MOST_ALIKE), np.empty(anchors.size, np.int64)
        kept = _find(self._packed.addresses, anchors.copy(), ends, sessions, similarities, weights)
        _share_out(self._packed.addresses, sessions[:kept], (anchors.size + 1) / 2, weights[:kept])
        return sessions[:kept], weights[:kept]


def build_session_index(starts: npt.NDArray[np.integer[Any]], items: Indices, item_count: int) -> SessionIndex:
    """Index sessions, the oldest first: session s had ``items[starts[s]:starts[s + 1]]``, in any order, some twice."""
    count = starts.size - 1
    owners = np.repeat(np.arange(count, dtype=np.int64), np.diff(starts))
    sessions, of_sessions = _distinct(owners, items, item_count)
    postings = make_csr(*_distinct(of_sessions.astype(np.int64), sessions, count), item_count)
    having = np.diff(postings.starts)
    idf = _log(count / np.maximum(having, 1))
    lists = make_csr(sessions, of_sessions, count)
    return SessionIndex(postings, NeighbourLists(lists.starts, lists.columns, idf[of_sessions]))


def _distinct(left: npt.NDArray[np.int64], right: Indices, count: int) -> tuple[Indices, Indices]:
    """Pairs, each once and in order; ``right`` is below ``count``. Numbers are sorted faster than an order is found."""
    pairs = np.sort(left * max(count, 1) + right)
    first = np.ones(pairs.size, np.bool_)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    found = np.divmod(pairs[first], max(count, 1))
    return found[0].astype(np.int32), found[1].astype(np.int32)


def _log(values: Values) -> Values:
    """The natural logarithm of numbers above 0, to the last digit or two; libraries' own differ between processors."""
    mantissas, exponents = np.frexp(values)
    low = mantissas < np.sqrt(0.5)
    mantissas, exponents = np.where(low, 2.0 * mantissas, mantissas), np.where(low, exponents - 1, exponents)
    ratio = (mantissas - 1.0) / (mantissas + 1.0)
    square = ratio * ratio
    series = np.zeros_like(ratio)
    for odd in range(2 * _TERMS - 1, 0, -2):
        series = series * square + 1.0 / odd
    logarithms: Values = exponents * _LN2 + 2.0 * ratio * series
    return logarithms


@compiled_raw
def _find(
    at: Addresses,
    anchors: Indices,
    ends: npt.NDArray[np.int64],
    sessions: Indices,
    similarities: Values,
    weights: Values,
) -> int:
    """Put the sessions that are most alike and their weights where they go; how many there are."""
    starts = int64s(pointer(at[0]), at[1])
    columns = int32s(pointer(at[2]), at[3])
    count = anchors.size
    for each in range(count):
        ends[each] = starts[anchors[each] + 1]
    kept = 0
    for _ in range(MOST_RECENT):
        newest = -1
        for each in range(count):
            if ends[each] > starts[anchors[each]] and columns[ends[each] - 1] > newest:
                newest = columns[ends[each] - 1]
        if newest < 0:
            break
        similarity, latest = 0.0, 0
        for each in range(count):
            if ends[each] > starts[anchors[each]] and columns[ends[each] - 1] == newest:
                ends[each] -= 1
                similarity += (each + 1.0) / count
                latest = count - each
        if kept == sessions.size and similarity <= similarities[kept - 1]:
            continue  # of equals the more recent stays, which came first
        place = kept if kept < sessions.size else kept - 1
        kept = max(kept, place + 1)
        while place > 0 and similarities[place - 1] < similarity:
            sessions[place] = sessions[place - 1]
            similarities[place] = similarities[place - 1]
            weights[place] = weights[place - 1]
            place -= 1
        sessions[place] = newest
        similarities[place] = similarity
        weights[place] = similarity * max(1.0 - latest / 10.0, 0.0)
    return kept


@compiled_raw
def _share_out(at: Addresses, sessions: Indices, whole: float, weights: Values) -> None:
    """Scale weights so that what their sessions give to all items comes to ``whole``, unless they give nothing."""
    starts = int64s(pointer(at[4]), at[5])
    values = float64s(pointer(at[6]), at[7])
    given = 0.0
    for each in range(sessions.size):
        own = 0.0
        for entry in range(starts[sessions[each]], starts[sessions[each] + 1]):
            own += values[entry]
        given += weights[each] * own
    if given > 0.0:
        for each in range(sessions.size):
            weights[each] *= whole / given
