"""How much a neighbour is worth: from co-counts to weights, once per load.

Everything is float64 and in a fixed order, with ``sqrt`` and ``power`` only: unlike ``exp`` and ``log1p`` these give
the same bits on every CPU.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import Indices, Mask, NeighbourLists, Values, add_up
from recsys.ranking.compiler import compiled_for_threads

Weighting: TypeAlias = Literal["count", "cosine", "rp3beta"]

ALPHA: Final = 1.0
BETA: Final = 0.6


@np.errstate(divide="raise", invalid="raise", over="raise")
def weigh(
    pairs: NeighbourLists,
    weighting: Weighting,
    *,
    counts: Values | None = None,
    alpha: float = ALPHA,
    beta: float = BETA,
    keep: int | None = None,
) -> NeighbourLists:
    """Weigh the co-counts n(a, i) > 0 of N items (row a); the result has the same rows and, unless pruned, pairs.

    * ``count``: n(a, i), as it is.
    * ``cosine``: n(a, i) / √(n(a)·n(i)).
    * ``rp3beta``: p(a, i) / Σ over the row of p, where p(a, i) = n(a, i)^α / n(i)^β. RP³β (Paudel, Christoffel, Newell,
      Bernstein: Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications, ACM TiiS 7(1),
      2016) ranks by the probability of a random walk item → user → item, each step to the power of α, over the
      popularity of its end to the power of β. Co-counts no longer know the users, so every user counts alike here
      instead of by the inverse of his own activity; the start's n(a)^α is common to a row and falls out when it is
      normalised. α = 1 and β = 0.6 are what implementations of it take when nothing is tuned.

    Args:
        pairs: rows are items.
        weighting: the name of the formula.
        counts: float64[N], in how many sessions (or with how many users) each item stands; absent, :func:`degrees`.
        alpha: exponent of the co-count; above 1 prefers frequent pairs.
        beta: exponent of the popularity that is discounted; 0 leaves blockbusters on top.
        keep: only the so many heaviest of each row, ties to the lower item; rp3beta normalises what is kept.

    Raises:
        ValueError: an item of a pair has no count.
        FloatingPointError: counts so small or exponents so large that a weight is no number.
    """
    weighed = pairs
    if weighting != "count":
        counts = degrees(pairs) if counts is None else counts
        if not (counts[_standing(pairs)] > 0).all():
            raise ValueError("An item that stands in a pair must have a count above 0.")
        made = _cosines(pairs, counts) if weighting == "cosine" else _discounted(pairs, counts, alpha, beta)
        weighed = NeighbourLists(pairs.starts, pairs.items, made)
    if keep is not None:
        weighed = prune(weighed, keep)
    return _normalise(weighed) if weighting == "rp3beta" else weighed


def degrees(pairs: NeighbourLists) -> Values:
    """An item's own count where only pairs are known: the sum of its pairs, float64[N].

    Of the sums Σ n(i, j) and Σ n(j, i) the larger one, since loads may hold one direction only; for symmetric counts
    they are equal. An item that goes with m others per session is counted m times, so this is an upper bound of the
    true count, and like it never below a pair's count: cosines stay in [0, 1].
    """
    return np.maximum(_row_sums(pairs), add_up(pairs.items, pairs.values, pairs.starts.size - 1))


def prune(lists: NeighbourLists, keep: int) -> NeighbourLists:
    """The ``keep`` heaviest items of each row, ties to the lower item; the items stay ascending."""
    lengths = np.diff(lists.starts)
    kept = np.ones(lists.items.size, np.bool_)
    _drop_lightest(lists.starts, lists.values, keep, kept)
    starts = np.zeros_like(lists.starts)
    np.cumsum(np.minimum(lengths, keep), out=starts[1:])
    items: Indices = lists.items[kept]
    return NeighbourLists(starts, items, lists.values[kept])


@compiled_for_threads
def _drop_lightest(starts: npt.NDArray[np.int64], values: Values, keep: int, kept: Mask) -> None:
    """Take the mark off all but the ``keep`` heaviest of each row; of equals the later ones go first."""
    for row in range(starts.size - 1):
        begin, end = starts[row], starts[row + 1]
        if end - begin <= keep:
            continue
        least = np.partition(values[begin:end], end - begin - keep)[end - begin - keep]
        ties = keep
        for at in range(begin, end):
            ties -= values[at] > least
        for at in range(begin, end):
            if values[at] == least and ties > 0:
                ties -= 1
            elif values[at] <= least:
                kept[at] = False


def _cosines(pairs: NeighbourLists, counts: Values) -> Values:
    roots = np.repeat(counts, np.diff(pairs.starts))
    roots *= counts[pairs.items]
    np.sqrt(roots, out=roots)
    cosines: Values = np.divide(pairs.values, roots, out=roots)
    return cosines


def _discounted(pairs: NeighbourLists, counts: Values, alpha: float, beta: float) -> Values:
    values = np.power(pairs.values, alpha)
    values /= np.power(counts, beta)[pairs.items]
    return values


def _normalise(lists: NeighbourLists) -> NeighbourLists:
    sums = np.repeat(_row_sums(lists), np.diff(lists.starts))
    return NeighbourLists(lists.starts, lists.items, np.divide(lists.values, sums, out=sums))


def _row_sums(lists: NeighbourLists) -> Values:
    size = lists.starts.size - 1
    return add_up(np.repeat(np.arange(size), np.diff(lists.starts)), lists.values, size)


def _standing(pairs: NeighbourLists) -> Mask:
    """Which items stand in any pair, on either side."""
    standing: Mask = np.diff(pairs.starts) > 0
    standing[pairs.items] = True
    return standing
