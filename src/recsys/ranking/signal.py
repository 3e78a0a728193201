"""What a source of relevance is: it looks at what is asked for, and puts what it finds where it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from recsys.ranking.arrays import Indices, NeighbourLists, Values
    from recsys.ranking.scores import AnchorItems


class Asked(NamedTuple):
    """What a signal may start from: the anchors (known ones, oldest first), and who the answer is for.

    ``subject`` is the user's key in the lists and histories; None: nobody that is known by name.
    """

    anchors: AnchorItems
    subject: str | None = None


class Recall(Protocol):
    """Where a signal puts the items it finds. What is put there twice adds up, in the order given.

    An item that was put there is found, whatever its score: also at 0 it is a candidate.
    """

    def rows(self, lists: NeighbourLists, rows: Indices, weights: Values) -> None:
        """Several rows of ``lists``, one after the other, each value times the weight of its row.

        What a signal has found by other means are lists of one row, with the weight 1.
        """


class Signal(Protocol):
    """A source of relevance; a new one is one file that implements this, and one line in ``make_sources``."""

    def recall(self, asked: Asked, found: Recall) -> None:
        """Put the items that the signal finds, with their raw scores, into ``found``."""
