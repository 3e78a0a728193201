"""The formulas that need more than one candidate's numbers: anchors and their weights, which weights hold, norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recsys.domain.config import DEFAULT_WEIGHTS, Algorithm, Weights
from recsys.ranking.arrays import NO_INDICES, Indices, Values, decay

if TYPE_CHECKING:
    from recsys.domain.recommend import Anchors
    from recsys.ranking.history import History
    from recsys.ranking.signals import SurfaceSignals

BASELINE_ALONE: Final = Weights(pop=1.0)
MOST_ANCHORS: Final = 50
_ONES: Final = np.ones(MOST_ANCHORS)


class AnchorItems(NamedTuple):
    """What the ranking starts from, oldest first, each item once, at its last place.

    ``indices`` (int32) and ``weights`` (float64) are those of the known ones of the ``given``. ``named``: the request
    names them, so that they are not answered; else they are the user's recent history.
    """

    given: int
    indices: Indices
    weights: Values
    named: bool


NO_ANCHORS: Final = AnchorItems(0, NO_INDICES, np.empty(0), named=False)


def find_anchors(signals: SurfaceSignals, anchors: Anchors, half_life: float | None) -> AnchorItems:
    """The anchors that a request names, weighed: w = 1, or 2^(−age/half_life), age 0 for the last one.

    Unknown ones have an age too.
    """
    if not anchors.item_ids:
        return NO_ANCHORS
    item_ids = list(dict.fromkeys(reversed(anchors.item_ids)))[: anchors.max_anchors][::-1]
    if half_life is None:
        known = signals.ids.find(item_ids)
        return AnchorItems(len(item_ids), known, _ONES[: known.size], named=True)
    indices = signals.ids.look_up(item_ids)
    known_at = indices >= 0
    return AnchorItems(len(item_ids), indices[known_at], _decayed(len(item_ids), half_life)[known_at], named=True)


def recent_anchors(history: History, row: int, most: int | None, half_life: float | None) -> AnchorItems:
    """The user's recent history as anchors, for a request that names none; weighed as :func:`find_anchors` does."""
    items = history.recent(row, most or MOST_ANCHORS)
    weights = _ONES[: items.size] if half_life is None else _decayed(items.size, half_life)
    return AnchorItems(items.size, items, weights, named=False)


def _decayed(count: int, half_life: float) -> Values:
    """2^(−age/half_life) for ages count−1 … 0."""
    return decay(np.arange(count - 1.0, -1.0, -1.0), half_life)


def norm(scores: Values) -> Values:
    """s/(s+1) for s > 0, else 0."""
    positive = np.maximum(scores, 0.0)
    return positive / (positive + 1.0)


def norm_one(score: float) -> float:
    """:func:`norm` of a single score, for which numpy would take longer to begin than to finish."""
    return score / (score + 1.0) if score > 0.0 else 0.0


def boosted(scores: Values, boosts: Values) -> Values:
    """Apply rules: s + s·v, or s + v where s = 0; never below 0."""
    return np.maximum(np.where(scores == 0.0, boosts, scores + scores * boosts), 0.0)


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
