"""Embeddings: what lies near the anchors, by exact neighbours that were worked out ahead of time."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.ranking.arrays import NeighbourLists
    from recsys.ranking.signal import Asked, Recall


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSignal:
    """emb(i) = Σ over anchors a of w(a)/W · s(a, i), where W = Σ w(a): the mean cosine similarity to the anchors.

    Row a of ``near`` holds the cosines s(a, ·) ∈ [−1, 1] of the nearest vectors; what is not among them counts 0, as
    does the row of an anchor without a vector. The blend clips the mean to [0, 1].
    """

    near: NeighbourLists

    def recall(self, asked: Asked, found: Recall) -> None:
        weights = asked.anchors.weights
        if weights.size:
            total = fsum(weights) or 1.0  # exact, so in any order; 0 when every known anchor is too old to weigh at all
            found.rows(self.near, asked.anchors.indices, weights / total)
