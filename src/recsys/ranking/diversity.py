"""Choosing the answer out of scored candidates: plain top k, or greedily with caps and maximal marginal relevance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.ranking.arrays import Indices, Mask, Positions, Values

if TYPE_CHECKING:
    from recsys.domain.config import DiversityConfig
    from recsys.domain.recommend import Constraints
    from recsys.ranking.signals import SurfaceSignals


@dataclass(frozen=True, slots=True)
class Caps:
    """How many items of an answer may carry a tag: by brand, by category, and tag by tag."""

    brand: int | None
    category: int | None
    per_tag: dict[str, int]

    def any(self) -> bool:
        """Whether there is a cap at all."""
        return self.brand is not None or self.category is not None or bool(self.per_tag)

    def of(self, tag: str) -> int | None:
        """The tightest cap on a tag."""
        limits = [
            limit
            for limit in (
                self.brand if tag.startswith("brand:") else None,
                self.category if tag.startswith("category:") else None,
                self.per_tag.get(tag),
            )
            if limit is not None
        ]
        return min(limits, default=None)


def caps_of(diversity: DiversityConfig, constraints: Constraints) -> Caps:
    """The caps of the config and of the request together."""
    return Caps(diversity.brand_cap, diversity.category_cap, constraints.max_per_tag)


def by_score(scores: Values) -> Positions:
    """Positions by score, highest first; equal scores keep their order, which is that of the item ids."""
    return np.argsort(-scores, kind="stable")


def top(scores: Values, k: int) -> Positions:
    """The first k of :func:`by_score`, without sorting the rest."""
    if k == 0 or scores.size <= 2 * k:
        return by_score(scores)[:k]
    bound = np.partition(scores, scores.size - k)[scores.size - k]
    ahead = np.flatnonzero(scores >= bound)
    return ahead[by_score(scores[ahead])[:k]]


class Selection:
    """A greedy choice among ``items``: pins first (given), the others in the order of their scores.

    ``similarity`` is each item's largest Jaccard similarity to those taken (where ``alike`` asks for it); ``open`` says
    who may still be taken.
    """

    def __init__(self, signals: SurfaceSignals, items: Indices, caps: Caps, *, alike: bool) -> None:
        self._alike = alike
        self._signals = signals
        self._items = items
        self._caps = caps
        self._counts: Counter[int] = Counter()
        owners, tags = signals.item_tags.gather(items)
        by_tag = np.sort((tags.astype(np.int64) << 32) | owners)  # quicker than sorting two arrays by one of them
        self._tags: Indices = (by_tag >> 32).astype(np.int32)
        self._owners: Positions = by_tag & 0xFFFF_FFFF
        self._sizes = np.bincount(owners, minlength=items.size)
        self.open: Mask = np.ones(items.size, np.bool_)
        self.similarity: Values = np.zeros(items.size)
        self.taken: list[int] = []

    def take(self, position: int) -> None:
        """Choose an item: close what its tags have filled up, and remember how like it the others are."""
        self.open[position] = False
        self.taken.append(position)
        tags = self._signals.item_tags.row(int(self._items[position]))
        begins, ends = self._tags.searchsorted(tags), self._tags.searchsorted(tags, side="right")
        carriers = [self._owners[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        for tag, carrying in zip(tags.tolist(), carriers, strict=True):
            self._counts[tag] += 1
            cap = self._caps.of(self._signals.tags[tag])
            if cap is not None and self._counts[tag] >= cap:
                self.open[carrying] = False
        if self._alike and carriers:
            shared = np.bincount(np.concatenate(carriers), minlength=self._items.size)
            union = self._sizes + self._sizes[position] - shared
            np.maximum(self.similarity, shared / np.maximum(union, 1), out=self.similarity)


def select(
    signals: SurfaceSignals, items: Indices, scores: Values, pins: int, k: int, caps: Caps, mmr_lambda: float | None
) -> list[int]:
    """Choose k of ``items``, whose first ``pins`` are pinned and whose rest is sorted by score, then id.

    Without MMR each pick is the best item that no cap forbids; with it, the one with the largest
    λ·s/s_max − (1−λ)·max Jaccard(tags) to those chosen, pins among them. Pins count toward caps but are never capped.

    Returns:
        The positions chosen, ascending: pins, then by score, then by id. MMR decides who is in, scores in which order.
    """
    selection = Selection(signals, items, caps, alike=bool(mmr_lambda))
    for position in range(pins):
        selection.take(position)
    weight = mmr_lambda or 0.0
    s_max = float(scores[pins:].max(initial=0.0))
    relevance = weight * scores / s_max if s_max > 0 else np.zeros(items.size)
    while len(selection.taken) < k and selection.open.any():
        if weight:
            gain = relevance - (1.0 - weight) * selection.similarity
            selection.take(int(np.argmax(np.where(selection.open, gain, -np.inf))))
        else:
            selection.take(int(np.argmax(selection.open)))
    return sorted(selection.taken)
