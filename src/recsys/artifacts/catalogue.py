"""``catalog``: what is known about each item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.artifacts.long_form import LongForm, in_order, sort, starts_of
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
    read_lists,
)
from recsys.artifacts.texts import Offsets, Texts, check_ids, read_texts
from recsys.domain.errors import ArtifactIncompatible

Times: TypeAlias = npt.NDArray[np.int64]

UNKNOWN_TIME: Final = np.iinfo(np.int64).min
"""``created_at`` of an item whose time is unknown."""

LONG: Final = pa.schema(
    [
        column("item_id", pa.string()),
        column("title", pa.string()),
        column("tags", pa.list_(pa.string())),
        column("price", pa.float64()),
        column("created_at", pa.int64()),
        column("attributes", pa.string()),
    ]
)
PACKED: Final = pa.schema(
    [
        column("item_id", pa.string()),
        column("title", pa.string()),
        lists("tags", choices()),
        column("price", pa.float64()),
        column("created_at", pa.int64()),
        column("attributes", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """N items in code point order, and what is known about each.

    ``titles`` and ``attributes`` (a JSON object), each "" where there is none; the tags of item n are
    ``tag_entries[tag_starts[n]:tag_starts[n + 1]]`` (int32, ascending places in ``tags``; int32[N + 1]), brand and
    category among them as ``brand:…`` and ``category:…``; ``prices`` float64[N], NaN where unknown; ``created_at``
    int64[N], microseconds since 1970 in UTC, ``UNKNOWN_TIME`` where unknown.
    """

    items: Texts
    titles: Texts
    tags: Texts
    tag_starts: Offsets
    tag_entries: Entries
    prices: Doubles
    created_at: Times
    attributes: Texts

    def to_table(self) -> Any:
        """The long form, in order."""
        tags = pa.ListArray.from_arrays(pa.array(self.tag_starts), self.tags.to_arrow().take(self.tag_entries))
        columns = [
            self.items.to_arrow(),
            self.titles.to_arrow(),
            tags,
            pa.array(self.prices),
            pa.array(self.created_at),
            self.attributes.to_arrow(),
        ]
        return pa.table(columns, schema=LONG)


def pack(rows: LongForm) -> list[Any]:
    """The columns of the packed form. A tag twice on an item is there once."""
    items, (codes,) = rows.ids("item_id")
    titles, attributes = rows.texts("title"), rows.texts("attributes")
    _check_attributes(attributes)
    vocabulary, owners, tags = rows.text_lists("tags")
    prices, created_at = rows.prices("price"), rows.integers("created_at")
    order = in_order(("item_id",), codes)
    if order is not None:
        titles, attributes, prices, created_at = (
            titles.take(order),
            attributes.take(order),
            prices[order],
            created_at[order],
        )
    owners, tags = _each_once(codes[owners], tags)
    return [
        items,
        titles,
        make_lists(starts_of(owners, len(items)), make_choices(tags, vocabulary), PACKED.field("tags")),
        pa.array(prices),
        pa.array(created_at),
        attributes,
    ]


def _each_once(owners: Entries, tags: Entries) -> tuple[Entries, Entries]:
    _, order = sort(owners, tags)
    if order is not None:
        owners, tags = owners[order], tags[order]
    again = np.zeros(owners.size, np.bool_)
    again[1:] = (owners[1:] == owners[:-1]) & (tags[1:] == tags[:-1])
    return owners[~again], tags[~again]


def _check_attributes(attributes: Any) -> None:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    for row, text in enumerate(attributes.to_pylist()):
        if text:
            try:
                decoder.decode(text)
            except msgspec.DecodeError as error:
                raise ArtifactIncompatible(f"attributes in row {row} is not a JSON object: {error}.") from None


def read(batch: Any) -> Catalogue:
    """The artifact that a record batch holds, checked, but for what the attributes say."""
    check_ids(batch.column("item_id"), "item_id")
    tagged = read_lists(batch.column("tags"))
    entries, tags = read_choices(tagged.values, "The dictionary of tags")
    check_ascending(tagged.starts, entries, "tags", strictly=True)
    prices: Doubles = batch.column("price").to_numpy()
    if ((prices < 0) | np.isinf(prices)).any():
        raise ArtifactIncompatible("price holds a value that is neither NaN nor a finite number of 0 or more.")
    return Catalogue(
        items=read_texts(batch.column("item_id")),
        titles=read_texts(batch.column("title")),
        tags=tags,
        tag_starts=tagged.starts,
        tag_entries=entries,
        prices=prices,
        created_at=batch.column("created_at").to_numpy(),
        attributes=read_texts(batch.column("attributes")),
    )
