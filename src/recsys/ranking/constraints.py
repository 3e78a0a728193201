"""The constraints of a request as compiled ranking takes them, and by name for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.ranking.arrays import as_indices
from recsys.ranking.signals import NEVER, to_microseconds
from recsys.ranking.table import NO_BOUNDS, Bounds, pack_bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recsys.domain.recommend import Constraints
    from recsys.ranking.arrays import Indices
    from recsys.ranking.compiler import Packed
    from recsys.ranking.signals import SurfaceSignals


def find_bounds(signals: SurfaceSignals, constraints: Constraints) -> Packed:
    """Resolve a request's constraints."""
    if not _constrains(constraints):
        return NO_BOUNDS
    index = signals.tag_index
    required = set(constraints.required_tags)
    # None of a tag is a property of the item, so it binds pins too, unlike a positive cap.
    none_of = [tag for tag, cap in constraints.max_per_tag.items() if cap == 0]
    capped = {index[tag]: cap for tag, cap in constraints.max_per_tag.items() if cap and tag in index}
    after = NEVER if constraints.created_after is None else to_microseconds(constraints.created_after)
    prices = (constraints.price_min, constraints.price_max)
    return pack_bounds(
        Bounds(
            required=_known(required, index),
            forbidden=_known({*constraints.forbidden_tags, *none_of}, index),
            capped=as_indices(capped.keys()),
            caps=as_indices(capped.values()),
            prices=np.array([np.nan if bound is None else bound for bound in prices]),
            numbers=np.array([len(required), after, 1]),
        )
    )


def find_pool(signals: SurfaceSignals, constraints: Constraints) -> Indices | None:
    """The only items that can satisfy the constraints (ascending): those of the rarest required tag; None: any may."""
    required = [_tagged(signals, tag) for tag in constraints.required_tags]
    return min(required, key=lambda items: items.size, default=None)


def violated(signals: SurfaceSignals, constraints: Constraints, item: int) -> str:
    """The first constraint that an item does not satisfy, by its field; empty when it satisfies all."""
    return next(_violated(signals, constraints, item), "")


def _violated(signals: SurfaceSignals, constraints: Constraints, item: int) -> Iterator[str]:
    tags = {signals.tags[tag] for tag in signals.item_tags.row(item).tolist()}
    yield from (f"constraints.required_tags: {tag}" for tag in constraints.required_tags if tag not in tags)
    yield from (f"constraints.forbidden_tags: {tag}" for tag in constraints.forbidden_tags if tag in tags)
    yield from (
        f"constraints.max_per_tag: {tag}" for tag, cap in constraints.max_per_tag.items() if cap == 0 and tag in tags
    )
    price = float(signals.prices[item])
    if constraints.price_min is not None and not price >= constraints.price_min:  # not the same as <: it may be NaN
        yield "constraints.price_min"
    if constraints.price_max is not None and not price <= constraints.price_max:
        yield "constraints.price_max"
    after = constraints.created_after
    if after is not None and int(signals.created_at[item]) <= to_microseconds(after):
        yield "constraints.created_after"


def _constrains(constraints: Constraints) -> bool:
    return bool(
        constraints.required_tags
        or constraints.forbidden_tags
        or constraints.max_per_tag
        or constraints.price_min is not None
        or constraints.price_max is not None
        or constraints.created_after is not None
    )


def _known(tags: Iterable[str], index: dict[str, int]) -> Indices:
    return as_indices(sorted(index[tag] for tag in tags if tag in index))


def _tagged(signals: SurfaceSignals, tag: str) -> Indices:
    index = signals.tag_index.get(tag)
    return as_indices(()) if index is None else signals.tag_items.row(index)
