"""What keeps an item out of an answer: exclusions, blocks and the request's constraints, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from recsys.ranking.arrays import NO_INDICES, Indices, Mask, as_indices, contains
from recsys.ranking.signals import to_microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from recsys.domain.recommend import Constraints
    from recsys.ranking.signals import SurfaceSignals

Stage: TypeAlias = Literal["excluded", "anchors", "blocked", "constrained"]


@dataclass(frozen=True, slots=True)
class Filter:
    """One reason to leave items out: the stage it belongs to, its name for people, and which items pass."""

    stage: Stage
    name: str
    passes: Callable[[Indices], Mask]


class Filters:
    """The filters of one request; remembers what each stage took out."""

    def __init__(self, filters: Sequence[Filter], pool: Indices | None, item_count: int) -> None:
        self._filters = filters
        self._narrowed = pool is not None and pool.size < item_count
        self._removed: dict[Stage, list[Indices]] = {"excluded": [], "anchors": [], "blocked": [], "constrained": []}
        self.pool = pool
        """The only items that can pass (ascending), where a required tag names them; None: any may."""

    def keep(self, items: Indices) -> Indices:
        """The items that pass every filter, in the order given."""
        for each in self._filters:
            passing = each.passes(items)
            if not passing.all():
                self._removed[each.stage].append(items[~passing])
                items = items[passing]
        return items

    def fault(self, item: int) -> Filter | None:
        """The first filter that an item does not pass."""
        alone = as_indices([item])
        return next((each for each in self._filters if not each.passes(alone)[0]), None)

    def constrained(self) -> bool:
        """Whether the request's constraints left anything out, unseen or looked at."""
        return self._narrowed or bool(self._removed["constrained"])

    def counts(self) -> dict[str, int]:
        """How many different items each stage has taken out so far."""
        return {
            stage: int(np.unique(np.concatenate(removed)).size) if removed else 0
            for stage, removed in self._removed.items()
        }


def make_filters(
    signals: SurfaceSignals, constraints: Constraints, *, excluded: Indices, anchors: Indices, blocked: Indices
) -> Filters:
    """Put the filters of a request together; ``excluded``, ``anchors`` in any order, ``blocked`` ascending."""
    filters = [
        *_without("excluded", "candidates.exclude_ids", np.sort(excluded)),
        *_without("anchors", "anchors.item_ids", np.sort(anchors)),
        *_without("blocked", "rules", blocked),
        *_tag_filters(signals, constraints),
        *_price_filters(signals, constraints),
    ]
    if constraints.created_after is not None:
        filters.append(_created_after(signals, constraints.created_after))
    required = [_tagged(signals, tag) for tag in constraints.required_tags]
    return Filters(filters, min(required, key=lambda items: items.size, default=None), len(signals.ids))


def _without(stage: Stage, name: str, items: Indices) -> Iterator[Filter]:
    if items.size:
        yield Filter(stage, name, lambda asked: ~contains(items, asked))


def _tag_filters(signals: SurfaceSignals, constraints: Constraints) -> Iterator[Filter]:
    for tag in dict.fromkeys(constraints.required_tags):
        yield _required(tag, _tagged(signals, tag))
    for tag in dict.fromkeys(constraints.forbidden_tags):
        yield from _without("constrained", f"constraints.forbidden_tags: {tag}", _tagged(signals, tag))
    for tag, cap in constraints.max_per_tag.items():
        if cap == 0:  # none of a tag is a property of the item, so it binds pins too, unlike a positive cap
            yield from _without("constrained", f"constraints.max_per_tag: {tag}", _tagged(signals, tag))


def _required(tag: str, tagged: Indices) -> Filter:
    return Filter("constrained", f"constraints.required_tags: {tag}", lambda asked: contains(tagged, asked))


def _price_filters(signals: SurfaceSignals, constraints: Constraints) -> Iterator[Filter]:
    # An item without a price is NaN, and NaN compares false: it satisfies no bound.
    prices, low, high = signals.prices, constraints.price_min, constraints.price_max
    if low is not None:
        yield Filter("constrained", "constraints.price_min", lambda asked: prices[asked] >= low)
    if high is not None:
        yield Filter("constrained", "constraints.price_max", lambda asked: prices[asked] <= high)


def _created_after(signals: SurfaceSignals, after: datetime) -> Filter:
    bound = to_microseconds(after)
    return Filter(
        "constrained",
        "constraints.created_after",
        lambda asked: signals.created_at[asked] > bound,
    )


def _tagged(signals: SurfaceSignals, tag: str) -> Indices:
    index = signals.tag_index.get(tag)
    return NO_INDICES if index is None else signals.tag_items.row(index)
