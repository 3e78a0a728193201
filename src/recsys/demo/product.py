"""A product of the shop, as the catalogue of the demo lists it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recsys.demo.categories import category
from recsys.demo.naming import describing_tags, price_band, title


@dataclass(frozen=True, slots=True)
class Product:
    """One line of the items file; the fields are the keys of the bulk load. ``price`` is in pounds."""

    item_id: str
    title: str
    tags: tuple[str, ...]
    category: str
    price: float
    created_at: str

    @property
    def rule_tags(self) -> frozenset[str]:
        """The tags a rule can name, without the price band."""
        return frozenset(tag for tag in self.tags if not tag.startswith("price:"))


def catalogue(rows: Iterable[tuple[str, str, float, str]]) -> list[Product]:
    """Make products of (item id, description, price, created at), in the order of the rows.

    The tags depend on all rows together: a word describes an item when it is neither rare nor everywhere.
    """
    known = list(rows)
    titles = [title(description) for _, description, _, _ in known]
    return [
        Product(item_id, name, (*tags, price_band(price)), category(name), price, created_at)
        for (item_id, _, price, created_at), name, tags in zip(known, titles, describing_tags(titles), strict=True)
    ]
