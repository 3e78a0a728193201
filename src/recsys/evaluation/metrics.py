"""What one list is worth to whom it was made for, as a number from 0 to 1; usable alone."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from math import log2


def recall(ranked: Sequence[str], truth: AbstractSet[str], k: int) -> float:
    """The share of ``truth`` that the first ``k`` of a list hold; a list that is shorter just holds less.

    An item that stands twice counts once.

    Raises:
        ValueError: there is nothing to find, so no share of it; or k is below 1.
    """
    _check(truth, k)
    return len(truth & set(ranked[:k])) / len(truth)


def ndcg(ranked: Sequence[str], truth: AbstractSet[str], k: int) -> float:
    """Σ over hits of 1/log₂(1 + rank), over what the best list of ``k`` would get: Järvelin, Kekäläinen (TOIS 2002).

    Of an item that stands twice only the first place counts.

    Raises:
        ValueError: as :func:`recall`.
    """
    _check(truth, k)
    left, gained = set(truth), 0.0
    for rank, item in enumerate(ranked[:k], 1):
        if item in left:
            left.remove(item)
            gained += 1 / log2(1 + rank)
    return gained / sum(1 / log2(1 + rank) for rank in range(1, min(k, len(truth)) + 1))


def _check(truth: AbstractSet[str], k: int) -> None:
    if not truth:
        raise ValueError("There is nothing to find: a case without truth has no metric.")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}.")
