"""``implicit``: for each user, the items that were computed for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsys.artifacts.long_form import LongForm, in_order, starts_of
from recsys.artifacts.packed import (
    Doubles,
    Entries,
    check_ascending,
    choices,
    column,
    lists,
    make_choices,
    make_lists,
    read_choices,
    read_doubles,
    read_lists,
)
from recsys.artifacts.texts import Offsets, Texts, check_ids, read_texts

LONG: Final = pa.schema([column("user_id", pa.string()), column("item_id", pa.string()), column("score", pa.float64())])
PACKED: Final = pa.schema([column("user_id", pa.string()), lists("items", choices()), lists("scores", pa.float64())])


@dataclass(frozen=True, slots=True, eq=False)
class UserLists:
    """R users and N items, each in code point order; user r has ``entries[starts[r]:starts[r + 1]]``, ascending.

    ``starts`` int32[R + 1]; ``entries`` int32, places in ``items``; ``scores`` float64 alike, above 0.
    """

    users: Texts
    items: Texts
    starts: Offsets
    entries: Entries
    scores: Doubles

    def to_table(self) -> Any:
        """The long form, in order."""
        owners = np.repeat(np.arange(len(self.users)), np.diff(self.starts))
        users, items = self.users.to_arrow().take(owners), self.items.to_arrow().take(self.entries)
        return pa.table([users, items, pa.array(self.scores)], schema=LONG)


def pack(rows: LongForm) -> list[Any]:
    """The columns of the packed form."""
    users, (owners,) = rows.ids("user_id")
    items, (entries,) = rows.ids("item_id")
    scores = rows.doubles("score", positive=True)
    order = in_order(("user_id", "item_id"), owners, entries)
    if order is not None:
        entries, scores = entries[order], scores[order]
    starts = starts_of(owners, len(users))
    return [
        users,
        make_lists(starts, make_choices(entries, items), PACKED.field("items")),
        make_lists(starts, scores, PACKED.field("scores")),
    ]


def read(batch: Any) -> UserLists:
    """The artifact that a record batch holds, checked."""
    check_ids(batch.column("user_id"), "user_id")
    listed = read_lists(batch.column("items"))
    scores = read_lists(batch.column("scores"), listed.starts)
    entries, items = read_choices(listed.values, "The dictionary of items")
    check_ascending(listed.starts, entries, "items", strictly=True)
    users = read_texts(batch.column("user_id"))
    return UserLists(users, items, listed.starts, entries, read_doubles(scores.values, "scores", positive=True))
