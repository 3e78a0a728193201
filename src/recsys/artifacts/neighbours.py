"""``cooc``, ``content_sim``, ``session_seq``, ``embedding``: for each item, others that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsys.artifacts.long_form import LongForm, in_order, starts_of
from recsys.artifacts.packed import (
    INDEX,
    Doubles,
    Entries,
    check_ascending,
    column,
    lists,
    make_lists,
    read_doubles,
    read_lists,
)
from recsys.artifacts.texts import Offsets, Texts, check_ids, read_texts
from recsys.domain.errors import ArtifactIncompatible

LONG: Final = pa.schema(
    [column("item_id", pa.string()), column("neighbor_id", pa.string()), column("score", pa.float64())]
)
PACKED: Final = pa.schema([column("item_id", pa.string()), lists("neighbors", INDEX), lists("scores", pa.float64())])


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """N items in code point order; the neighbours of item n are ``entries[starts[n]:starts[n + 1]]``, ascending.

    ``starts`` int32[N + 1]; ``entries`` int32, places in ``items``; ``scores`` float64 alike, above 0.
    """

    items: Texts
    starts: Offsets
    entries: Entries
    scores: Doubles

    def to_table(self) -> Any:
        """The long form, in order."""
        items = self.items.to_arrow()
        owners = np.repeat(np.arange(len(self.items)), np.diff(self.starts))
        return pa.table([items.take(owners), items.take(self.entries), pa.array(self.scores)], schema=LONG)


def pack(rows: LongForm) -> list[Any]:
    """The columns of the packed form."""
    items, (owners, neighbours) = rows.ids("item_id", "neighbor_id")
    scores = rows.doubles("score", positive=True)
    rows.refuse_where("neighbor_id", owners == neighbours, "is the item itself")
    order = in_order(("item_id", "neighbor_id"), owners, neighbours)
    if order is not None:
        neighbours, scores = neighbours[order], scores[order]
    starts = starts_of(owners, len(items))
    return [
        items,
        make_lists(starts, neighbours, PACKED.field("neighbors")),
        make_lists(starts, scores, PACKED.field("scores")),
    ]


def read(batch: Any) -> Neighbours:
    """The artifact that a record batch holds, checked."""
    check_ids(batch.column("item_id"), "item_id")
    items = read_texts(batch.column("item_id"))
    neighbours = read_lists(batch.column("neighbors"))
    scores = read_lists(batch.column("scores"), neighbours.starts)
    entries: Entries = neighbours.values.to_numpy()
    if entries.size and not 0 <= int(entries.min()) <= int(entries.max()) < len(items):
        raise ArtifactIncompatible(f"neighbors points outside the {len(items)} items of the file.")
    check_ascending(neighbours.starts, entries, "neighbors", strictly=True)
    return Neighbours(items, neighbours.starts, entries, read_doubles(scores.values, "scores", positive=True))
