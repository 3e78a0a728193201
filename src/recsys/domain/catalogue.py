"""Rows of the tables that DB-only serving reads: items, daily popularity, daily co-visitation."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from recsys.domain.names import ItemId, Tag

if TYPE_CHECKING:
    from collections.abc import Sequence

Dataset = Literal["items", "popularity", "cooc"]
LoadMode = Literal["upsert", "replace"]

Score = Annotated[float, Meta(ge=0, le=1e15)]


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of a surface. Brand and category are kept as the tags ``brand:…`` and ``category:…``."""

    item_id: ItemId
    title: Annotated[str, Meta(max_length=2_000)] | None = None
    tags: Annotated[list[Tag], Meta(max_length=200)] = []
    brand: Tag | None = None
    category: Tag | None = None
    price: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    created_at: Annotated[datetime, Meta(tz=True)] | None = None
    attributes: dict[str, Any] | None = None

    def all_tags(self) -> list[str]:
        """Own tags plus the ones made of brand and category: unique, in code point order."""
        own = set(self.tags)
        if self.brand:
            own.add(f"brand:{self.brand}")
        if self.category:
            own.add(f"category:{self.category}")
        return sorted(own)


class Popularity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an item was wanted on one UTC day."""

    item_id: ItemId
    day: date
    score: Score


MOST_PAIR_BYTES = 2_500
"""Of both ids of a co-visit in UTF-8: they stand in one entry of an index, for which PostgreSQL has 2,704 bytes."""


class Covisit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often ``neighbor_id`` went with ``item_id`` on one UTC day. Directed: load both ways if you mean both."""

    item_id: ItemId
    neighbor_id: ItemId
    day: date
    score: Score

    @property
    def pair_bytes(self) -> int:
        """How long both ids are together, in UTF-8."""
        return len(self.item_id.encode()) + len(self.neighbor_id.encode())


Row = Item | Popularity | Covisit

ROW_TYPES: dict[Dataset, type[Item | Popularity | Covisit]] = {
    "items": Item,
    "popularity": Popularity,
    "cooc": Covisit,
}

ROW_KEYS: dict[Dataset, tuple[str, ...]] = {
    "items": ("item_id",),
    "popularity": ("item_id", "day"),
    "cooc": ("item_id", "neighbor_id", "day"),
}
"""What makes a row of each dataset unique within a surface; a file that has a key twice is refused."""


class SurfaceRows(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of one surface, in no particular order. ``data_revision`` is the one that last changed them.

    ``load_id`` names the load that did; None for one from before loads had names.
    """

    surface: str
    data_revision: int
    load_id: str | None = None
    items: Sequence[Item]
    popularity: Sequence[tuple[str, date, float]] = ()
    covisits: Sequence[tuple[str, str, date, float]] = ()


class Catalogue(Protocol):
    """What lint needs to know about a tenant's items. ``surface`` None: any surface."""

    def has_item(self, surface: str | None, item_id: str) -> bool:
        """Whether the item is known."""

    def count_tagged(self, surface: str | None, tag: str) -> int:
        """How many items carry the tag."""
