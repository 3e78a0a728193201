"""What the demo shows: items and rules picked from the data by rule, and the documents that the tenant starts with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from recsys.demo.categories import OTHER
from recsys.demo.naming import PRICE_BANDS
from recsys.demo.product import Product

Document = dict[str, Any]
DataMode = Literal["artifacts", "tables"]
"""What answers are made from: artifacts that pipelines made of events, or rows that were loaded into the database."""

MIN_TAGGED = 20
"""A tag or category with fewer items is too small to be told in season or out of it."""


@dataclass(frozen=True, slots=True)
class Sales:
    """In how many invoices an item stands: over all days, and over the last ``queries.RECENT_DAYS`` days."""

    invoices: int
    recent: int


@dataclass(frozen=True, slots=True)
class Showcase:
    """What to show of a shop.

    ``anchor`` goes unmistakably with its neighbours; ``bestseller`` leads over all days; ``in_season`` leads the
    category that made the greatest part of its sales lately; ``tag_out_of_season`` made the smallest.
    """

    anchor: Product
    bestseller: Product
    in_season: Product
    tag_out_of_season: str


def choose(products: Sequence[Product], sales: Mapping[str, Sales], anchor_id: str | None) -> Showcase:
    """Pick the showcase; every tie goes to the smaller id or name by code point. No anchor: the bestseller is it.

    Raises:
        ValueError: when there is no product.
    """
    if not products:
        raise ValueError("There is nothing to show: no sale of a named product.")
    bestseller = _leader(products, sales)
    categories, tags = _recent_share(products, sales)
    season = min(categories, key=lambda name: (-categories[name], name), default=bestseller.category)
    return Showcase(
        anchor=next((product for product in products if product.item_id == anchor_id), bestseller),
        bestseller=bestseller,
        in_season=_leader([product for product in products if product.category == season], sales),
        # The bestseller is about to be pinned, and a block would beat the pin.
        tag_out_of_season=min(
            tags.keys() - set(bestseller.tags), key=lambda name: (tags[name], name), default="sample"
        ),
    )


def _leader(products: Sequence[Product], sales: Mapping[str, Sales]) -> Product:
    return min(products, key=lambda product: (-sales[product.item_id].invoices, product.item_id))


def _recent_share(products: Sequence[Product], sales: Mapping[str, Sales]) -> tuple[dict[str, float], dict[str, float]]:
    """The share of their sales that is recent, for every category and every tag that is large enough to tell."""
    by_category, by_tag = defaultdict[str, list[Sales]](list), defaultdict[str, list[Sales]](list)
    for product in products:
        by_category[product.category].append(sales[product.item_id])
        for tag in product.rule_tags:
            by_tag[tag].append(sales[product.item_id])
    by_category.pop(OTHER, None)  # what is other has nothing in common
    return _shares(by_category), _shares(by_tag)


def _shares(groups: Mapping[str, Sequence[Sales]]) -> dict[str, float]:
    return {
        name: sum(each.recent for each in group) / sum(each.invoices for each in group)
        for name, group in groups.items()
        if len(group) >= MIN_TAGGED
    }


def config(mode: DataMode) -> Document:
    """The config that the tenant starts with: signals from artifacts have another scale than rows of tables."""
    return {
        "limits": {"max_pins": 3},
        "flags": {"enable_rules": True},
        "personalization": {"boost": 0.3, "top_tags": 8, "min_events": 3, "cold_start_multiplier": 0.5},
        **(_FROM_ARTIFACTS if mode == "artifacts" else _FROM_TABLES),
    }


# Popularity is saturated: the best sellers score nearly alike, and a boosted category would fill the whole home page.
# The cap keeps it mixed; a product page may well show six teacups.
_HOME: Final[Document] = {"home": {"diversity": {"category_cap": 4}}}
_FROM_TABLES: Final[Document] = {
    "weights": {"pop": 1, "cooc": 0.5, "emb": 0.2},
    "popularity": {"half_life_days": 30},
    "anchors": {"half_life": 3},
    "surfaces": _HOME,
}
# Weights that do well on weeks held out, by what customers had next and by what else was in their baskets: neighbours
# that are weighed count for more than co-visits that are only counted, and customers' own lists for more than nothing.
_FROM_ARTIFACTS: Final[Document] = {"weights": {"pop": 0.3, "cooc": 3, "emb": 1}, "surfaces": _HOME}


def rules(showcase: Showcase) -> Document:
    """The rules that the tenant starts with: one pin, one boost, one block, each for a reason a shop would have."""
    return {
        "rules": [
            {
                "id": "pin-bestseller",
                "name": "The bestseller of the year opens the home page",
                "action": "pin",
                "target_type": "item",
                "item_ids": [showcase.bestseller.item_id],
                "surface": "home",
                "priority": 10,
                "max_pins": 1,
            },
            {
                "id": "boost-in-season",
                "name": f"In season: {showcase.in_season.category}",
                "action": "boost",
                "target_type": "category",
                "target_key": showcase.in_season.category,
                "surface": "home",
                "boost_value": 0.2,
            },
            {
                "id": "block-out-of-season",
                "name": f"Out of season: {showcase.tag_out_of_season}",
                "action": "block",
                "target_type": "tag",
                "target_key": showcase.tag_out_of_season,
            },
        ]
    }


def bad_rules(showcase: Showcase) -> Document:
    """The change that empties the home list: someone meant to hide the price labels, and blocked what carries them.

    Every item carries a price band, and a block beats the pin.
    """
    blocks = [
        {
            "id": f"hide-{band.replace(':', '-')}",
            "name": f"Sale: no {band} label on the home page",
            "action": "block",
            "target_type": "tag",
            "target_key": band,
            "surface": "home",
        }
        for band in PRICE_BANDS
    ]
    return {"rules": [*rules(showcase)["rules"], *blocks]}
