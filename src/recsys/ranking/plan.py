"""What one request asks of one surface, worked out before any item is looked at."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recsys.domain.recommend import Notice
from recsys.ranking.arrays import NO_INDICES
from recsys.ranking.constraints import find_bounds, find_pool
from recsys.ranking.scores import choose_weights, find_anchors, recent_anchors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recsys.domain.config import Algorithm, Weights
    from recsys.domain.recommend import Constraints, RecommendRequest
    from recsys.ranking.arrays import Indices
    from recsys.ranking.compiler import Packed
    from recsys.ranking.rules import ActiveRules
    from recsys.ranking.scores import AnchorItems
    from recsys.ranking.state import SurfaceState


class Plan(NamedTuple):
    """A request, resolved.

    ``subject``: the user's key in lists and histories. ``done``: what the user did that keeps items out; ``excluded``:
    that and what the request excludes. ``order``: in which popular items are walked; ``narrowed``: a required tag
    leaves some out. ``included``: the only candidates, where the request names them.
    """

    state: SurfaceState
    request: RecommendRequest
    subject: str | None
    algorithm: Algorithm
    weights: Weights
    anchors: AnchorItems
    active: ActiveRules
    bounds: Packed
    done: Indices
    excluded: Indices
    order: Indices
    narrowed: bool
    included: Indices | None


def make_plan(state: SurfaceState, request: RecommendRequest, now: datetime, subject: str | None) -> Plan:
    """Resolve ids, weights, rules and filters."""
    settings, signals = state.settings, state.signals
    algorithm = request.algorithm or settings.algorithm
    half_life = settings.anchors.half_life
    anchors = find_anchors(signals, request.anchors, half_life)
    done = NO_INDICES
    if signals.history is not None and subject is not None:
        row = signals.history.find(subject)
        if row >= 0:
            if not request.anchors.item_ids:
                anchors = recent_anchors(signals.history, row, request.anchors.max_anchors, half_life)
            if settings.exclude.event_types:
                done = signals.history.done(row, settings.exclude.event_types, settings.exclude.window_days)
    asked = request.candidates
    excluded = signals.ids.find(asked.exclude_ids) if asked.exclude_ids else NO_INDICES
    order, narrowed = _walk(state, request.constraints)
    return Plan(
        state=state,
        request=request,
        subject=subject,
        algorithm=algorithm,
        weights=choose_weights(algorithm, request.weights, settings.weights),
        anchors=anchors,
        active=state.rules.active(request.segment, now),
        bounds=find_bounds(signals, request.constraints),
        done=done,
        excluded=np.concatenate((excluded, done)) if done.size else excluded,
        order=order,
        narrowed=narrowed,
        included=None if asked.include_ids is None else signals.ids.find(asked.include_ids),
    )


def plan_notices(plan: Plan) -> Iterator[Notice]:
    """What the request asks for that this surface cannot give, known before anything is scored."""
    given, known = plan.anchors.given, plan.anchors.indices.size
    if known < given:
        yield Notice(
            "SIGNAL_PARTIAL", f"{given - known} of {given} anchors are unknown on this surface and were ignored."
        )
    asked = plan.request.weights
    if asked is not None and asked.emb > 0 and len(plan.state.sources) == 1:
        yield Notice("SIGNAL_UNAVAILABLE", "weights.emb has no effect: this surface has no embeddings.")


def _walk(state: SurfaceState, constraints: Constraints) -> tuple[Indices, bool]:
    """What to walk: everything, or the items of a rare required tag, which are quicker to sort than to come across.

    Coming across ``fanout`` of P items among N takes about fanout·N/P looks, so sorting wins while P² < fanout·N.
    """
    popularity = state.popularity
    pool = find_pool(state.signals, constraints) if constraints.required_tags else None
    if pool is None or pool.size > sqrt(state.settings.limits.fanout * popularity.order.size):
        return popularity.order, pool is not None and pool.size < popularity.order.size
    return pool[np.argsort(popularity.rank[pool])], pool.size < popularity.order.size
