"""Collaborative filtering: the list that was computed for the user ahead of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recsys.ranking.arrays import as_indices

if TYPE_CHECKING:
    from recsys.ranking.history import UserLists
    from recsys.ranking.signal import Asked, Recall

_AS_IT_IS: Final = np.ones(1)


@dataclass(frozen=True, slots=True, eq=False)
class CollaborativeSignal:
    """collab(i) = the score of i in the user's own list; nothing for a stranger. Anchors do not matter."""

    users: UserLists

    def recall(self, asked: Asked, found: Recall) -> None:
        row = -1 if asked.subject is None else self.users.subjects.index(asked.subject)
        if row >= 0:
            found.rows(self.users.lists, as_indices([row]), _AS_IT_IS)
