"""Every item of a surface in order of popularity: the backbone of candidates, computed once per half-life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.ranking.arrays import Indices, Values
from recsys.ranking.scores import norm

if TYPE_CHECKING:
    from recsys.ranking.signals import SurfaceSignals


@dataclass(frozen=True, slots=True, eq=False)
class PopularityRanking:
    """``scores`` float64[N], ``norms`` these normalised; ``order`` items, most popular first, ``rank`` its inverse.

    Items without popularity stand at the end of ``order``, so whoever walks it sees every item.
    """

    scores: Values
    norms: Values
    order: Indices
    rank: Indices


def rank_popularity(signals: SurfaceSignals, half_life_days: float | None) -> PopularityRanking:
    """Order a surface by decayed popularity; costs N log N, so serving keeps the result per half-life."""
    scores = signals.decayed_popularity(half_life_days)
    # Stable: equal scores stay in index order, which is the code point order of the ids.
    order = np.argsort(-scores, kind="stable").astype(np.int32)
    rank = np.empty(order.size, np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32)
    return PopularityRanking(scores, norm(scores), order, rank)
