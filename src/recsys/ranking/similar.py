"""Items like one item: what goes with it, then what shares its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from recsys.domain.recommend import Explanation, Notice, RankedItem, SimilarRequest
from recsys.ranking import diversity
from recsys.ranking.arrays import NO_INDICES, Indices, SparseScores, Values, as_indices, contains
from recsys.ranking.constraints import Filters, make_filters
from recsys.ranking.diversity import Caps
from recsys.ranking.pipeline import Ranking
from recsys.ranking.scores import norm

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.ranking.signals import SurfaceSignals
    from recsys.ranking.state import SurfaceState

TAG_WEIGHT: Final = 0.1
"""Small, so that one co-visit (norm 0.5) outweighs every tag in common: tags break ties and go on where cooc ends."""


def similar(state: SurfaceState, request: SimilarRequest, now: datetime) -> Ranking:
    """The items most like ``item_id``: score = norm(n(item, i)) + 0.1 · Jaccard(tags), highest first, then by id.

    Block rules and constraints hold, pins, boosts and the config's diversity do not. Items that share tags are drawn
    from the item's rarest tags first, until there are ``fanout`` of them.
    """
    signals = state.signals
    item = signals.ids.index(request.item_id)
    if item < 0:
        notice = Notice("SIGNAL_UNAVAILABLE", f"The surface has no data about {request.item_id!r}.")
        return Ranking([], {"candidates": 0, "returned": 0}, [notice])
    itself = as_indices([item])
    filters = make_filters(
        signals,
        request.constraints,
        excluded=NO_INDICES,
        anchors=itself,
        blocked=state.rules.active(request.segment, now).blocked,
    )
    cooc = SparseScores(*signals.cooc.row(item))
    candidates = _candidates(signals, item, cooc, filters, max(state.settings.limits.fanout, request.k))
    together, shared = norm(cooc.at(candidates)), jaccard(signals, item, candidates)
    scores = together + TAG_WEIGHT * shared
    order = diversity.by_score(scores)
    caps = Caps(None, None, request.constraints.max_per_tag)
    if caps.any():
        order = order[diversity.select(signals, candidates[order], scores[order], 0, request.k, caps, None)]
    items = [
        _item(signals, request, rank, candidates[at], scores[at], (together[at], shared[at]))
        for rank, at in enumerate(order[: request.k].tolist(), 1)
    ]
    counts = {"candidates": int(candidates.size), "returned": len(items), **filters.counts()}
    return Ranking(items, counts, _notices(filters, cooc))


def jaccard(signals: SurfaceSignals, item: int, others: Indices) -> Values:
    """|tags in common| / |tags of either|, 0 where neither has tags."""
    own = signals.item_tags.row(item)
    owners, tags = signals.item_tags.gather(others)
    shared = np.bincount(owners[contains(own, tags)], minlength=others.size)
    either = np.bincount(owners, minlength=others.size) + own.size - shared
    similarity: Values = shared / np.maximum(either, 1)
    return similarity


def _candidates(signals: SurfaceSignals, item: int, cooc: SparseScores, filters: Filters, enough: int) -> Indices:
    found = filters.keep(cooc.indices)
    rarest_first = sorted(signals.item_tags.row(item).tolist(), key=lambda tag: (signals.tag_items.length(tag), tag))
    for tag in rarest_first:
        if found.size >= enough:
            break
        found = np.union1d(found, filters.keep(signals.tag_items.row(tag)))
    return found


def _item(
    signals: SurfaceSignals, request: SimilarRequest, rank: int, item: int, score: float, parts: tuple[float, float]
) -> RankedItem:
    together, shared = parts
    reasons = [
        *([f"bought with {request.item_id}"] if together > 0 else []),
        *([f"shares tags with {request.item_id}"] if shared > 0 else []),
    ]
    explained = Explanation(signals={"cooc": float(together), "tags": float(TAG_WEIGHT * shared)})
    return RankedItem(
        item_id=signals.ids.text(item),
        rank=rank,
        score=float(score),
        reasons=reasons if request.options.include_reasons else [],
        explain=None if request.options.explain == "none" else explained,
    )


def _notices(filters: Filters, cooc: SparseScores) -> list[Notice]:
    notices = []
    if not cooc.indices.size:
        notices.append(Notice("SIGNAL_UNAVAILABLE", "Nothing was bought with this item yet; shared tags decide alone."))
    if filters.constrained():
        notices.append(Notice("CONSTRAINTS_FILTERED", "Items that do not satisfy the constraints were left out."))
    return notices
