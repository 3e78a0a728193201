"""Whether what clients saw of one document can have happened one operation at a time, in an order that respects time.

Each write carries an id of its own, which the ledger keeps, so the only possible order is the ledger's and checking it
takes one pass. Values may repeat (A, B, A): ids and revisions do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Write:
    """A compare-and-set as its sender saw it. ``revision`` None: refused. Times of one clock, in seconds."""

    id: str
    expected: int
    began: float
    ended: float
    revision: int | None


@dataclass(frozen=True)
class Read:
    """A read of the document's revision; a write that found its value there already is one too."""

    began: float
    ended: float
    revision: int


@dataclass(frozen=True)
class Entry:
    """A row of the ledger that moved the document."""

    revision: int
    id: str


def contradictions(ledger: Sequence[Entry], writes: Sequence[Write], reads: Sequence[Read]) -> Iterator[str]:
    """What cannot be; nothing when the history is linearizable and no update was lost.

    ``ledger`` in the order of revisions; every one of its entries must have its write.
    """
    won = {write.id: write for write in writes if write.revision is not None}
    yield from (f"{each} was acknowledged but is not in the ledger" for each in won.keys() - {e.id for e in ledger})
    before: dict[int, int] = {}  # revision of this document → the one before it
    previous = 0
    for entry in ledger:
        write = won.get(entry.id)
        if write is None:
            yield f"revision {entry.revision} was made by {entry.id}, which nobody was told"
        elif write.revision != entry.revision:
            yield f"{entry.id} was told revision {write.revision}, the ledger says {entry.revision}"
        elif write.expected not in (previous, ANYTHING):
            yield f"{entry.id} expected revision {write.expected} and overwrote {previous}: a lost update"
        before[entry.revision] = previous
        previous = entry.revision
    yield from _out_of_time(ledger, won, reads)
    yield from _refused_for_nothing(ledger, won, writes)


ANYTHING = -1
"""``expected`` of a statement that compared nothing, as an operator's by hand."""


def _out_of_time(ledger: Sequence[Entry], won: dict[str, Write], reads: Sequence[Read]) -> Iterator[str]:
    """Whatever comes later in the ledger's order must not have ended before something earlier began."""
    operations = [(entry.revision, 0, won[entry.id].began, won[entry.id].ended) for entry in ledger if entry.id in won]
    known = {0, *(entry.revision for entry in ledger)}
    for read in reads:
        if read.revision not in known:
            yield f"revision {read.revision} was read and never written"
        operations.append((read.revision, 1, read.began, read.ended))
    latest_begin = float("-inf")
    for revision, kind, began, ended in sorted(operations):
        if ended < latest_begin:
            yield f"{'a read of' if kind else 'the write of'} revision {revision} ended before an earlier one began"
        latest_begin = max(latest_begin, began)


def _refused_for_nothing(ledger: Sequence[Entry], won: dict[str, Write], writes: Sequence[Write]) -> Iterator[str]:
    """A write may only be refused when the revision that it expected was over before it ended."""
    followers = {old.revision: new for old, new in zip([Entry(0, ""), *ledger], ledger, strict=False)}
    for write in writes:
        if write.revision is not None:
            continue
        follower = followers.get(write.expected)
        if follower is None or (follower.id in won and won[follower.id].began > write.ended):
            yield f"{write.id} was refused although revision {write.expected} was current all the time"
