"""The signals of a synthetic shop as arrays, drawn with numpy: a million items of 200 neighbours within a minute.

Drawn, not loaded: no database holds two hundred million pairs for a benchmark. The same on every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from bench.synthetic import SURFACE, item_codes, item_text
from bench.synthetic_users import history, item_lists, user_lists
from recsys.domain.catalogue import Item, SurfaceRows
from recsys.ranking.arrays import Indices, NeighbourLists, Values, make_csr
from recsys.ranking.ids import make_ids
from recsys.ranking.signals import EPOCH, PopularityRows, SurfaceSignals

FIRST_DAY = date(2026, 1, 1)
OPENING = np.datetime64("2025-01-01T00:00:00", "us").astype(np.int64)
DAY = 86_400_000_000
_POPULARITY_SKEW = 0.9
_NEIGHBOUR_SKEW = 2.0
_ROWS_AT_A_TIME = 20_000
_OWN_TAGS, _BRANDS, _CATEGORIES = 200, 100, 30
VOCABULARY = (
    *(f"brand:brand-{number:02d}" for number in range(_BRANDS)),
    *(f"category:category-{number:02d}" for number in range(_CATEGORIES)),
    *(f"tag-{number:03d}" for number in range(_OWN_TAGS)),
)
"""Every tag, in code point order."""


@dataclass(frozen=True)
class Shop:
    """N items by index, which is the code point order of their ids.

    ``places``: the index of the item that is 1st, 2nd, … in popularity. ``scores``: float64[N, days]. ``tags``:
    int32[N, 5], ascending in each row: brand, category, three of its own.
    """

    ids: list[str]
    places: Indices
    prices: Values
    created_at: npt.NDArray[np.int64]
    tags: Indices
    scores: Values
    neighbours: NeighbourLists


def shop(items: int, *, neighbours: int, days: int) -> Shop:
    """Draw a shop."""
    draw = np.random.default_rng(20_260_101)
    codes = item_codes(items)
    order = np.argsort(codes).astype(np.int32)  # index → place in popularity
    places = np.empty_like(order)
    places[order] = np.arange(items, dtype=np.int32)
    worth = 1e6 / (order + 1.0) ** _POPULARITY_SKEW
    return Shop(
        ids=[item_text(code) for code in codes[order].tolist()],
        places=places,
        prices=draw.uniform(1, 500, items).round(2),
        created_at=OPENING + DAY * draw.integers(0, 365, items),
        tags=_tags(items, draw),
        scores=(worth[:, None] * draw.uniform(0.5, 1.5, (items, days))).round(3),
        neighbours=_neighbours(items, neighbours, order, places, draw),
    )


def _tags(items: int, draw: np.random.Generator) -> Indices:
    """Each of the three own tags comes from a third of the vocabulary, so that no item has one twice."""
    own = _BRANDS + _CATEGORIES + np.array([0, _OWN_TAGS // 3, 2 * _OWN_TAGS // 3])
    begins = np.array([0, _BRANDS, *own])
    ends = np.array([_BRANDS, _BRANDS + _CATEGORIES, *own[1:], len(VOCABULARY)])
    skewed = draw.random((items, begins.size)) ** 1.5
    tags: Indices = (begins + skewed * (ends - begins)).astype(np.int32)
    return tags


def _neighbours(items: int, count: int, order: Indices, places: Indices, draw: np.random.Generator) -> NeighbourLists:
    """``count`` different other items each, popular ones more often, with skewed counts from 1 to 100.

    The other items, by popularity, are cut into ``count`` slices whose width grows with the place; one is drawn from
    each: skewed, and different without looking.
    """
    bounds = np.floor((items - 1) * np.linspace(0, 1, count + 1) ** _NEIGHBOUR_SKEW)
    bounds = np.maximum(bounds, np.arange(count + 1)).astype(np.float32)
    widths = np.diff(bounds)
    counts = np.ceil(100 * np.linspace(0.01, 1, 256) ** 3)
    found = np.empty((items, count), np.int32)
    values = np.empty((items, count))
    for begin in range(0, items, _ROWS_AT_A_TIME):
        rows = slice(begin, min(begin + _ROWS_AT_A_TIME, items))
        shape = (rows.stop - begin, count)
        others = (bounds[:-1] + draw.random(shape, np.float32) * widths).astype(np.int32)
        np.minimum(others, bounds[1:].astype(np.int32) - 1, out=others)  # float32 may round up to the next slice
        others += others >= order[rows, None]  # not itself
        found[rows] = np.sort(places[others], axis=1)
        values[rows] = counts[draw.integers(0, 256, shape, np.uint8)]
    starts = count * np.arange(items + 1, dtype=np.int64)
    return NeighbourLists(starts, found.reshape(-1), values.reshape(-1))


def surface_signals(made: Shop, tenant_id: str, *, all_signals: bool = False) -> SurfaceSignals:
    """What serving works with; ``tenant_id``: whose users; ``all_signals``: also what only pipelines compute."""
    items, days = made.scores.shape
    owners = np.repeat(np.arange(items, dtype=np.int32), made.tags.shape[1])
    flat = made.tags.reshape(-1)
    by_tag = np.argsort(flat, kind="stable")
    return SurfaceSignals(
        surface=SURFACE,
        data_revision=1,
        ids=make_ids(made.ids),
        prices=made.prices,
        created_at=made.created_at,
        tags=VOCABULARY,
        tag_index={tag: at for at, tag in enumerate(VOCABULARY)},
        item_tags=make_csr(owners, flat, items),
        tag_items=make_csr(flat[by_tag], owners[by_tag], len(VOCABULARY)),
        popularity=PopularityRows(
            items=np.repeat(np.arange(items, dtype=np.int32), days),
            ages=np.tile(np.arange(days - 1, -1, -1.0), items),
            scores=made.scores.reshape(-1),
        ),
        cooc=made.neighbours,
        history=history(made.places, tenant_id),
        collab=user_lists(made.places, tenant_id) if all_signals else None,
        emb=item_lists(made.places, 1) if all_signals else None,
        content=item_lists(made.places, 2) if all_signals else None,
        session=item_lists(made.places, 3) if all_signals else None,
    )


def surface_rows(items: int, *, neighbours: int, days: int) -> SurfaceRows:
    """The same shop as the rows that a database would hold."""
    made = shop(items, neighbours=neighbours, days=days)
    dates = [FIRST_DAY + timedelta(days=day) for day in range(days)]
    lists = made.neighbours
    owners = np.repeat(np.arange(items), np.diff(lists.starts)).tolist()
    pairs = zip(owners, lists.items.tolist(), lists.values.tolist(), strict=True)
    return SurfaceRows(
        surface=SURFACE,
        data_revision=1,
        items=[_item(made, at) for at in range(items)],
        popularity=[
            (each, day, score)
            for each, scores in zip(made.ids, made.scores.tolist(), strict=True)
            for day, score in zip(dates, scores, strict=True)
        ],
        covisits=[(made.ids[owner], made.ids[other], FIRST_DAY, value) for owner, other, value in pairs],
    )


def _item(made: Shop, at: int) -> Item:
    brand, category, *own = (VOCABULARY[tag] for tag in made.tags[at].tolist())
    return Item(
        item_id=made.ids[at],
        title=f"The product {made.ids[at]}",
        tags=own,
        brand=brand.removeprefix("brand:"),
        category=category.removeprefix("category:"),
        price=float(made.prices[at]),
        created_at=EPOCH + timedelta(microseconds=int(made.created_at[at])),
    )
