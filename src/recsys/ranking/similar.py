"""Items like one item: what goes with it, then what shares its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from recsys.domain.recommend import Explanation, Notice, RankedItem, SimilarRequest
from recsys.ranking import kernel
from recsys.ranking.arrays import NO_INDICES, Indices, SparseScores, Values, as_indices, contains
from recsys.ranking.constraints import find_bounds
from recsys.ranking.outcome import removed
from recsys.ranking.pipeline import Ranking
from recsys.ranking.scores import norm
from recsys.ranking.table import EMPTY_OFFER, WORKSPACES

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.ranking.compiler import Addresses
    from recsys.ranking.signals import SurfaceSignals
    from recsys.ranking.state import SurfaceState
    from recsys.ranking.table import Workspace

TAG_WEIGHT: Final = 0.1
"""Small, so that one co-visit (norm 0.5) outweighs every tag in common: tags break ties and go on where cooc ends."""


def similar(state: SurfaceState, request: SimilarRequest, now: datetime) -> Ranking:
    """The items most like ``item_id``: score = norm(n(item, i)) + 0.1 · Jaccard(tags), highest first, then by id.

    Block rules and constraints hold, pins, boosts and the config's diversity do not. Items that share tags are drawn
    from the item's rarest tags first, until there are ``fanout`` of them, or more where caps would leave fewer than k.
    """
    signals = state.signals
    item = signals.ids.index(request.item_id)
    if item < 0:
        notice = Notice("SIGNAL_UNAVAILABLE", f"The surface has no data about {request.item_id!r}.")
        return Ranking([], {"candidates": 0, "returned": 0}, [notice])
    workspace, give_back = WORKSPACES.take(len(signals.ids), len(signals.tags))
    try:
        eligible = Eligible(state, request, now, workspace, item)
        return _similar(state, request, item, eligible)
    finally:
        give_back(workspace)


class Eligible:
    """Which items may be answered beside ``item``, and how many each filter took out."""

    def __init__(
        self, state: SurfaceState, request: SimilarRequest, now: datetime, workspace: Workspace, item: int
    ) -> None:
        self._workspace = workspace
        self._surface = state.rules.active(request.segment, now).surface
        self._bounds = find_bounds(state.signals, request.constraints)
        kernel.begin(workspace.addresses, EMPTY_OFFER.addresses, as_indices([item]), NO_INDICES, False)

    @property
    def _at(self) -> tuple[Addresses, Addresses, Addresses]:
        return self._workspace.addresses, self._surface.addresses, self._bounds.addresses

    def keep(self, items: Indices) -> Indices:
        """Those of ``items`` that may be answered, in the order given."""
        kept = np.empty(items.size, np.int32)
        return kept[: kernel.keep(*self._at, items.copy(), kept)]

    def within_caps(self, items: Indices, most: int) -> Indices:
        """The places of the first items, ``most`` of them, of which no more than so many carry a tag."""
        places = np.empty(min(most, items.size), np.int32)
        return places[: kernel.keep_within_caps(*self._at, items, places)]

    @property
    def removed(self) -> dict[str, int]:
        """How many different items each filter took out so far."""
        return removed(self._workspace.table.tally.tolist())


def _similar(state: SurfaceState, request: SimilarRequest, item: int, eligible: Eligible) -> Ranking:
    signals = state.signals
    cooc = SparseScores(*signals.cooc.row(item))
    enough = max(state.settings.limits.fanout, request.k)
    while True:
        candidates = _candidates(signals, item, cooc, eligible, enough)
        together, shared = norm(cooc.at(candidates)), jaccard(signals, item, candidates)
        scores = together + TAG_WEIGHT * shared
        order = np.argsort(-scores, kind="stable")  # equal scores keep the order of the ids
        chosen = eligible.within_caps(candidates[order], request.k)
        if chosen.size == request.k or candidates.size < enough:
            break
        enough = 2 * candidates.size
    items = [
        _item(signals, request, rank, candidates[at], scores[at], (together[at], shared[at]))
        for rank, at in enumerate(order[chosen].tolist(), 1)
    ]
    counts = {"candidates": int(candidates.size), "returned": len(items), **eligible.removed}
    return Ranking(items, counts, _notices(eligible, cooc))


def jaccard(signals: SurfaceSignals, item: int, others: Indices) -> Values:
    """|tags in common| / |tags of either|, 0 where neither has tags."""
    own = signals.item_tags.row(item)
    owners, tags = signals.item_tags.gather(others)
    shared = np.bincount(owners[contains(own, tags)], minlength=others.size)
    either = np.bincount(owners, minlength=others.size) + own.size - shared
    similarity: Values = shared / np.maximum(either, 1)
    return similarity


def _candidates(signals: SurfaceSignals, item: int, cooc: SparseScores, eligible: Eligible, enough: int) -> Indices:
    """At least ``enough``, or else all that there are; ascending."""
    found = eligible.keep(cooc.indices)
    rarest_first = sorted(signals.item_tags.row(item).tolist(), key=lambda tag: (signals.tag_items.length(tag), tag))
    for tag in rarest_first:
        if found.size >= enough:
            break
        found = np.union1d(found, eligible.keep(signals.tag_items.row(tag)))
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


def _notices(eligible: Eligible, cooc: SparseScores) -> list[Notice]:
    notices = []
    if not cooc.indices.size:
        notices.append(Notice("SIGNAL_UNAVAILABLE", "Nothing was bought with this item yet; shared tags decide alone."))
    if eligible.removed["constrained"]:
        notices.append(Notice("CONSTRAINTS_FILTERED", "Items that do not satisfy the constraints were left out."))
    return notices
