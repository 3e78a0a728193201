"""``history``: what each user did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.artifacts.long_form import LongForm, sort, starts_of
from recsys.artifacts.packed import (
    UTC_TIME,
    Entries,
    check_ascending,
    choices,
    column,
    lists,
    make_choices,
    make_lists,
    read_choices,
    read_lists,
)
from recsys.artifacts.texts import Offsets, Texts, check_ids, read_texts
from recsys.domain.errors import ArtifactIncompatible

Codes: TypeAlias = npt.NDArray[np.uint8]
Times: TypeAlias = npt.NDArray[np.int64]

MOST_EVENT_TYPES: Final = 256

LONG: Final = pa.schema(
    [
        column("user_id", pa.string()),
        column("item_id", pa.string()),
        column("event_type", pa.string()),
        column("at", UTC_TIME),
    ]
)
PACKED: Final = pa.schema(
    [
        column("user_id", pa.string()),
        lists("items", choices()),
        lists("event_types", choices(pa.uint8())),
        lists("times", UTC_TIME),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """R users, N items and the event types, each in code point order; user r has ``starts[r]`` … ``starts[r + 1]``.

    ``starts`` int32[R + 1]; per entry, oldest first: ``entries`` int32, a place in ``items``; ``kinds`` uint8, a place
    in ``event_types``; ``times`` int64, microseconds since 1970 in UTC. Entries of one time stand in the order of
    their items, then of their event types; the same entry twice is two.
    """

    users: Texts
    items: Texts
    event_types: Texts
    starts: Offsets
    entries: Entries
    kinds: Codes
    times: Times

    def to_table(self) -> Any:
        """The long form, in order."""
        owners = np.repeat(np.arange(len(self.users)), np.diff(self.starts))
        columns = [
            self.users.to_arrow().take(owners),
            self.items.to_arrow().take(self.entries),
            self.event_types.to_arrow().take(self.kinds),
            pa.array(self.times).view(UTC_TIME),
        ]
        return pa.table(columns, schema=LONG)


def pack(rows: LongForm) -> list[Any]:
    """The columns of the packed form."""
    users, (owners,) = rows.ids("user_id")
    items, (entries,) = rows.ids("item_id")
    event_types, (types,) = rows.ids("event_type")
    if len(event_types) > MOST_EVENT_TYPES:
        raise ArtifactIncompatible(f"event_type has {len(event_types)} values; at most {MOST_EVENT_TYPES} are kept.")
    kinds, times = types.astype(np.uint8), rows.times("at")
    _, order = sort(owners, times, entries, kinds)
    if order is not None:
        entries, kinds, times = entries[order], kinds[order], times[order]
    starts = starts_of(owners, len(users))
    return [
        users,
        make_lists(starts, make_choices(entries, items), PACKED.field("items")),
        make_lists(starts, make_choices(kinds, event_types), PACKED.field("event_types")),
        make_lists(starts, pa.array(times).view(UTC_TIME), PACKED.field("times")),
    ]


def read(batch: Any) -> History:
    """The artifact that a record batch holds, checked."""
    check_ids(batch.column("user_id"), "user_id")
    listed = read_lists(batch.column("items"))
    entries, items = read_choices(listed.values, "The dictionary of items")
    typed = read_lists(batch.column("event_types"), listed.starts)
    kinds, event_types = read_choices(typed.values, "The dictionary of event_types")
    dated = read_lists(batch.column("times"), listed.starts)
    times: Times = dated.values.view(pa.int64()).to_numpy()
    check_ascending(listed.starts, times, "times", strictly=False)
    users = read_texts(batch.column("user_id"))
    return History(users, items, event_types, listed.starts, entries, kinds, times)
