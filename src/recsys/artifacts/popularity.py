"""``popularity``: how much each item is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from recsys.artifacts.long_form import LongForm, in_order
from recsys.artifacts.packed import Doubles, column, read_doubles
from recsys.artifacts.texts import Texts, check_ids, read_texts

LONG: Final = pa.schema([column("item_id", pa.string()), column("score", pa.float64())])
PACKED: Final = LONG


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """N items in code point order, and how much each is wanted (``scores`` float64[N], 0 or more)."""

    items: Texts
    scores: Doubles

    def to_table(self) -> Any:
        """The long form, in order."""
        return pa.table([self.items.to_arrow(), pa.array(self.scores)], schema=LONG)


def pack(rows: LongForm) -> list[Any]:
    """The columns of the packed form."""
    items, (codes,) = rows.ids("item_id")
    scores = rows.doubles("score")
    order = in_order(("item_id",), codes)
    return [items, pa.array(scores if order is None else scores[order])]


def read(batch: Any) -> Popularity:
    """The artifact that a record batch holds, checked."""
    check_ids(batch.column("item_id"), "item_id")
    return Popularity(read_texts(batch.column("item_id")), read_doubles(batch.column("score"), "score", positive=False))
