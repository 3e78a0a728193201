"""What one request asks of one surface, worked out before any item is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.domain.recommend import Notice, RecommendRequest
from recsys.ranking.arrays import NO_INDICES, Indices, SparseScores
from recsys.ranking.constraints import Filters, make_filters
from recsys.ranking.diversity import Caps, caps_of
from recsys.ranking.rules import ActiveRules, choose_pins
from recsys.ranking.scores import AnchorItems, choose_weights, find_anchors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from recsys.domain.config import Algorithm, Weights
    from recsys.ranking.state import SurfaceState


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A request, resolved.

    ``recalls``: what each source finds for the anchors; ``neighbours``: the eligible ones of these, ascending;
    ``included``: the only candidates, where the request names them; ``pins`` in their order.
    """

    state: SurfaceState
    request: RecommendRequest
    algorithm: Algorithm
    weights: Weights
    anchors: AnchorItems
    active: ActiveRules
    filters: Filters
    caps: Caps
    pins: Indices
    recalls: Mapping[str, SparseScores]
    neighbours: Indices
    included: tuple[int, ...] | None


def make_plan(state: SurfaceState, request: RecommendRequest, now: datetime) -> Plan:
    """Resolve ids, rules and filters. What the request anchors on is not answered: the user is looking at it."""
    settings, signals = state.settings, state.signals
    algorithm = request.algorithm or settings.algorithm
    anchors = find_anchors(signals, request.anchors, settings.anchors.half_life)
    active = state.rules.active(request.segment, now)
    filters = make_filters(
        signals,
        request.constraints,
        excluded=signals.ids.find(request.candidates.exclude_ids),
        anchors=anchors.indices,
        blocked=active.blocked,
    )
    recalls = {name: source.recall(anchors) for name, source in state.sources.items()}
    include_ids = request.candidates.include_ids
    return Plan(
        state=state,
        request=request,
        algorithm=algorithm,
        weights=choose_weights(algorithm, request.weights, settings.weights),
        anchors=anchors,
        active=active,
        filters=filters,
        caps=caps_of(settings.diversity, request.constraints),
        pins=choose_pins(active, filters.keep, min(settings.limits.max_pins, request.k)),
        recalls=recalls,
        neighbours=filters.keep(_union([recall.indices for recall in recalls.values()])),
        included=None if include_ids is None else tuple(signals.ids.find(include_ids).tolist()),
    )


def plan_notices(plan: Plan) -> Iterator[Notice]:
    """What the request asks for that this surface cannot give, known before anything is scored."""
    given, known = len(plan.anchors.item_ids), plan.anchors.indices.size
    if known < given:
        yield Notice(
            "SIGNAL_PARTIAL", f"{given - known} of {given} anchors are unknown on this surface and were ignored."
        )
    asked = plan.request.weights
    semantic = plan.recalls.keys() & {"emb", "collab", "content", "session"}
    if asked is not None and asked.emb > 0 and not semantic:
        yield Notice("SIGNAL_UNAVAILABLE", "weights.emb has no effect: this surface has no embeddings.")


def _union(parts: list[Indices]) -> Indices:
    parts = [part for part in parts if part.size]
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.concatenate(parts)) if parts else NO_INDICES
