"""Content: what is described like the anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.ranking.arrays import NeighbourLists
    from recsys.ranking.signal import Asked, Recall


@dataclass(frozen=True, slots=True, eq=False)
class ContentSignal:
    """content(i) = Σ over anchors a of w(a) · s(a, i), from the oldest to the last; row a of ``alike`` is s(a, ·)."""

    alike: NeighbourLists

    def recall(self, asked: Asked, found: Recall) -> None:
        found.rows(self.alike, asked.anchors.indices, asked.anchors.weights)
