"""From signals to one score per candidate: the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from recsys.domain.config import DEFAULT_WEIGHTS, Algorithm, PersonalizationConfig, Weights
from recsys.ranking.arrays import (
    NO_SCORES,
    Csr,
    Indices,
    NeighbourLists,
    SparseScores,
    Values,
    add_up,
    as_indices,
    sum_by_index,
)

if TYPE_CHECKING:
    from recsys.domain.recommend import Anchors
    from recsys.ranking.signals import SurfaceSignals

BASELINE_ALONE = Weights(pop=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class AnchorItems:
    """The anchors that count, oldest first, each once (at its last place). Some may be unknown to the surface.

    ``indices`` (int32) and ``weights`` (float64) are those of the known ones.
    """

    item_ids: tuple[str, ...]
    indices: Indices
    weights: Values


class Signal(Protocol):
    """A source of relevance that starts from the anchors; a new one is one file that implements this."""

    def recall(self, anchors: AnchorItems) -> SparseScores:
        """The items that the signal finds for these anchors, with their raw scores."""


@dataclass(frozen=True, slots=True, eq=False)
class CoocSignal:
    """Co-visitation: cooc(i) = Σ over anchors a of w(a) · n(a, i)."""

    rows: NeighbourLists

    def recall(self, anchors: AnchorItems) -> SparseScores:
        """See :class:`Signal`. The sum runs over the anchors from the oldest to the last."""
        found = [self.rows.row(index) for index in anchors.indices.tolist()]
        weighted = [values * weight for (_, values), weight in zip(found, anchors.weights.tolist(), strict=True)]
        return sum_by_index([items for items, _ in found], weighted) if found else NO_SCORES


def find_anchors(signals: SurfaceSignals, anchors: Anchors, half_life: float | None) -> AnchorItems:
    """Weigh the anchors of a request: w = 1, or 2^(−age/half_life), age 0 for the last anchor."""
    newest_first = list(dict.fromkeys(reversed(anchors.item_ids)))[: anchors.max_anchors]
    item_ids = tuple(reversed(newest_first))
    indices = signals.ids.look_up(newest_first).tolist()
    known = [(age, index) for age, index in enumerate(indices) if index >= 0]
    known.reverse()
    ages = np.fromiter((age for age, _ in known), np.float64, len(known))
    weights = np.ones(len(known)) if half_life is None else np.exp2(-(ages / half_life))
    return AnchorItems(item_ids, as_indices(index for _, index in known), weights)


def norm(scores: Values) -> Values:
    """s/(s+1) for s > 0, else 0."""
    positive = np.maximum(scores, 0.0)
    return positive / (positive + 1.0)


def choose_weights(algorithm: Algorithm, requested: Weights | None, configured: Weights | None) -> Weights:
    """Which α, β, γ hold: the request's as a whole, else for a mode α = 1 alone, else the config's, else the default.

    ``configured`` is the surface's or the tenant's. All zero counts as α = 1.
    """
    if requested is not None:
        chosen = requested
    elif algorithm == "blend":
        chosen = configured or DEFAULT_WEIGHTS
    else:
        chosen = BASELINE_ALONE
    return chosen if chosen.pop or chosen.cooc or chosen.emb else BASELINE_ALONE


def blend(weights: Weights, baseline: Values, cooc: Values, semantic: Values | None) -> Values:
    """α·norm(baseline) + β·norm(cooc) + γ·semantic, from raw baseline and cooc; ``semantic`` is normalised already."""
    blended: Values = weights.pop * norm(baseline) + weights.cooc * norm(cooc)
    return blended if semantic is None else blended + weights.emb * semantic


def tag_profile(item_tags: Csr, anchors: Indices, top_tags: int) -> SparseScores:
    """The shares of the ``top_tags`` most frequent tags of the anchors, summing to 1; ties go to the lower tag."""
    _, tags = item_tags.gather(anchors)
    if tags.size == 0:
        return NO_SCORES
    found, counts = np.unique(tags, return_counts=True)
    top = np.sort(np.argsort(-counts, kind="stable")[:top_tags])
    return SparseScores(found[top], counts[top] / counts[top].sum())


def personalise(
    blended: Values, items: Indices, item_tags: Csr, anchors: AnchorItems, config: PersonalizationConfig
) -> Values:
    """Blend · (1 + boost · overlap · c); c = cold_start_multiplier when there are fewer than min_events anchors."""
    if config.boost == 0 or anchors.indices.size == 0:
        return blended
    profile = tag_profile(item_tags, anchors.indices, config.top_tags)
    owners, tags = item_tags.gather(items)
    overlap = add_up(owners, profile.at(tags), items.size)
    c = config.cold_start_multiplier if len(anchors.item_ids) < config.min_events else 1.0
    return blended * (1.0 + config.boost * overlap * c)


def boosted(scores: Values, boosts: Values) -> Values:
    """Apply rules: s + s·v, or s + v where s = 0; never below 0."""
    return np.maximum(np.where(scores == 0.0, boosts, scores + scores * boosts), 0.0)
