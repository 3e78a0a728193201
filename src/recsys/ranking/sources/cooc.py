"""Co-visitation: what goes with the anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.ranking.arrays import NeighbourLists
    from recsys.ranking.signal import Asked, Recall


@dataclass(frozen=True, slots=True, eq=False)
class CoocSignal:
    """cooc(i) = Σ over anchors a of w(a) · n(a, i), from the oldest to the last; row a of ``pairs`` holds n(a, ·)."""

    pairs: NeighbourLists

    def recall(self, asked: Asked, found: Recall) -> None:
        found.rows(self.pairs, asked.anchors.indices, asked.anchors.weights)
