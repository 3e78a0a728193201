"""``session_knn``: past sessions, among which VMIS-kNN looks for those like the present one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.artifacts.long_form import LongForm, in_order, starts_of
from recsys.artifacts.packed import (
    UTC_TIME,
    Entries,
    choices,
    column,
    lists,
    make_choices,
    make_lists,
    read_choices,
    read_lists,
)
from recsys.artifacts.texts import Offsets, Texts
from recsys.domain.errors import ArtifactIncompatible

Times: TypeAlias = npt.NDArray[np.int64]

LONG: Final = pa.schema(
    [
        column("session", pa.int64()),
        column("at", UTC_TIME),
        column("item_id", pa.string()),
        column("position", pa.int32()),
    ]
)
PACKED: Final = pa.schema([column("at", UTC_TIME), lists("items", choices())])


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """S sessions, oldest first, and N items in code point order; session s is ``entries[starts[s]:starts[s + 1]]``.

    ``times`` int64[S], microseconds since 1970 in UTC, ascending: when the session ended; ``starts`` int32[S + 1];
    ``entries`` int32, places in ``items``, in the order in which they were seen.
    """

    items: Texts
    times: Times
    starts: Offsets
    entries: Entries

    def postings(self) -> tuple[Offsets, Entries]:
        """The sessions of each item: those of item n are ``sessions[starts[n]:starts[n + 1]]``, each once, ascending.

        A session's number is its rank in time, so the last m of a list are the m most recent. Made anew by each call.
        """
        owners = np.repeat(np.arange(self.times.size, dtype=np.int64), np.diff(self.starts))
        pairs = np.unique(self.entries * np.int64(max(self.times.size, 1)) + owners)
        items, sessions = np.divmod(pairs, max(self.times.size, 1))
        return starts_of(items, len(self.items)), sessions.astype(np.int32)

    def to_table(self) -> Any:
        """The long form, in order; sessions and positions are numbered from 0."""
        lengths = np.diff(self.starts)
        sessions = np.repeat(np.arange(self.times.size, dtype=np.int64), lengths)
        positions = np.arange(self.entries.size) - np.repeat(self.starts[:-1], lengths)
        columns = [
            pa.array(sessions),
            pa.array(self.times[sessions]).view(UTC_TIME),
            self.items.to_arrow().take(self.entries),
            pa.array(positions.astype(np.int32)),
        ]
        return pa.table(columns, schema=LONG)


def pack(rows: LongForm) -> list[Any]:
    """The columns of the packed form. A session's time is the latest of its rows."""
    items, (entries,) = rows.ids("item_id")
    sessions, positions, at = rows.integers("session"), rows.integers("position"), rows.times("at")
    order = in_order(("session", "position"), sessions, positions)
    if order is not None:
        sessions, at, entries = sessions[order], at[order], entries[order]
    first = np.ones(sessions.size, np.bool_)
    np.not_equal(sessions[1:], sessions[:-1], out=first[1:])
    begins = np.flatnonzero(first)
    times = np.maximum.reduceat(at, begins) if begins.size else at
    wrong = times[1:] < times[:-1]
    if wrong.any():
        earlier, later = sessions[begins[int(wrong.argmax())]], sessions[begins[int(wrong.argmax()) + 1]]
        raise ArtifactIncompatible(f"session: {later} ended before {earlier}; sessions are numbered in order of time.")
    starts = starts_of(np.cumsum(first) - 1, times.size)
    return [
        pa.array(times).view(UTC_TIME),
        make_lists(starts, make_choices(entries, items), PACKED.field("items")),
    ]


def read(batch: Any) -> Sessions:
    """The artifact that a record batch holds, checked."""
    listed = read_lists(batch.column("items"))
    entries, items = read_choices(listed.values, "The dictionary of items")
    times: Times = batch.column("at").view(pa.int64()).to_numpy()
    if (times[1:] < times[:-1]).any():
        raise ArtifactIncompatible("Its sessions are not in the order of their times.")
    return Sessions(items, times, listed.starts, entries)
