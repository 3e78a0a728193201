"""Sessions: what comes next after the last items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from recsys.ranking.arrays import NeighbourLists, Values
    from recsys.ranking.session_index import SessionIndex
    from recsys.ranking.signal import Asked, Recall

RECENCY: Final[Values] = np.array([0.5, 1.0])
"""The weights of the last two anchors, the older one first."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionSignal:
    """session(i) = 1/2 · s(b, i) + 1 · s(a, i), where a is the last anchor that is known and b the one before it.

    Row a of ``following`` holds s(a, ·), the next-item scores after a. Two items are what VMIS-kNN looks at by default
    in Serenade (Kersbergen, Sprangers, Schelter, SIGMOD 2022): an older one says little about the next step.
    ``anchors.half_life`` changes nothing here.
    """

    following: NeighbourLists

    def recall(self, asked: Asked, found: Recall) -> None:
        last = asked.anchors.indices[-RECENCY.size :]
        found.rows(self.following, last, RECENCY[RECENCY.size - last.size :])


@dataclass(frozen=True, slots=True, eq=False)
class NearestSessions:
    """session(i) = Σ over the k past sessions n most like the last two known anchors, of w(n) · idf(i) where n has i.

    VMIS-kNN, see :meth:`SessionIndex.find`: all items together have as much as the next-item lists of as many anchors
    would give, 1 or 3/2. Sessions from the most similar on.
    """

    past: SessionIndex

    def recall(self, asked: Asked, found: Recall) -> None:
        sessions, weights = self.past.find(asked.anchors.indices[-RECENCY.size :])
        found.rows(self.past.items, sessions, weights)
