"""What is known about single users: what they did (history), and what was computed for them (collaborative lists)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import NO_INDICES, Indices, NeighbourLists, as_indices
from recsys.ranking.ids import Ids, make_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MOST_KINDS: Final = 256
_DAY: Final = 86_400_000_000  # in microseconds


@dataclass(frozen=True, slots=True, eq=False)
class UserLists:
    """The items computed for each user ahead of time: row r of ``lists`` belongs to ``subjects.text(r)``."""

    subjects: Ids
    lists: NeighbourLists


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What each user did: the entries of row r are ``starts[r]`` … ``starts[r + 1]`` of the arrays, oldest first.

    ``starts`` int64[R + 1]; per entry ``items`` (int32), ``kinds`` (uint8, an index into ``kind_names``, the event
    types) and ``times`` (int64, microseconds since 1970 in UTC). Entries of one time stand in the order of their items.
    """

    subjects: Ids
    starts: npt.NDArray[np.int64]
    items: Indices
    kinds: npt.NDArray[np.uint8]
    times: npt.NDArray[np.int64]
    kind_names: tuple[str, ...]
    newest: int = field(init=False)
    """The time of the newest entry of all users (0 without entries): windows count back from it, not from the clock."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "newest", int(self.times.max()) if self.times.size else 0)

    def find(self, subject: str) -> int:
        """The row of a user, -1 when unknown."""
        return self.subjects.index(subject)

    def recent(self, row: int, count: int) -> Indices:
        """The last ``count`` different items of a row, oldest first, each at its last place. The cost grows with count.

        Walks back from the end, since a row may be much longer than what is asked for.
        """
        begin, end = int(self.starts[row]), int(self.starts[row + 1])
        size = 2 * count
        while True:
            newest_first = dict.fromkeys(self.items[max(begin, end - size) : end][::-1].tolist())
            if len(newest_first) >= count or end - size <= begin:
                return as_indices(list(newest_first)[:count][::-1])
            size *= 2

    def done(self, row: int, event_types: Collection[str], window_days: float | None) -> Indices:
        """The items (ascending, unique) of a row's entries of these types, at most ``window_days`` before ``newest``.

        None: however old. Unknown types name nothing.
        """
        begin, end = int(self.starts[row]), int(self.starts[row + 1])
        if window_days is not None:
            begin += int(self.times[begin:end].searchsorted(self.newest - round(window_days * _DAY)))
        kinds, items = self.kinds[begin:end], self.items[begin:end]
        wanted = [kinds == kind for kind, name in enumerate(self.kind_names) if name in event_types]
        if not wanted:
            return NO_INDICES
        for more in wanted[1:]:
            wanted[0] |= more
        found: Indices = items[wanted[0]]  # a copy
        found.sort()
        first = np.ones(found.size, np.bool_)
        np.not_equal(found[1:], found[:-1], out=first[1:])
        unique: Indices = found[first]
        return unique


def build_history(
    subjects: Sequence[str], items: Indices, kinds: Sequence[str], times: npt.NDArray[np.int64]
) -> History:
    """Put entries in order: four columns alike in length, in any order (see :class:`History` for dtypes and units).

    The result does not depend on the order of the entries. The same entry twice is two entries.

    Raises:
        ValueError: more than 256 different kinds.
    """
    names, kind_names = sorted(set(subjects)), sorted(set(kinds))
    if len(kind_names) > MOST_KINDS:
        raise ValueError(f"A history holds at most {MOST_KINDS} kinds of event, not {len(kind_names)}.")
    row_of = {name: row for row, name in enumerate(names)}
    kind_of = {name: kind for kind, name in enumerate(kind_names)}
    rows = np.fromiter((row_of[subject] for subject in subjects), np.int64, len(subjects))
    codes = np.fromiter((kind_of[kind] for kind in kinds), np.uint8, len(kinds))
    order = np.lexsort((codes, items, times, rows))
    starts = np.zeros(len(names) + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(names)), out=starts[1:])
    return History(
        subjects=make_ids(names),
        starts=starts,
        items=items[order],
        kinds=codes[order],
        times=times[order],
        kind_names=tuple(kind_names),
    )
