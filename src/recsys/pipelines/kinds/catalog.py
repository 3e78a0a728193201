"""``catalog``: the items themselves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from recsys.domain.canonical import canonicalise, check
from recsys.domain.catalogue import Item
from recsys.domain.errors import InvalidRequest
from recsys.pipelines.errors import PipelineError

UNKNOWN_TIME: Final = -(1 << 63)
"""``created_at`` of an item that has none."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
CATALOG: Final = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("price", pa.float64()),
        ("created_at", pa.int64()),
        ("attributes", pa.string()),
    ]
)


def catalog(items: Iterable[Item]) -> pa.Table:
    """Items as columns, in order of item_id; brand and category are tags. An item that comes twice: the last counts.

    Raises:
        PipelineError: naming the item whose attributes have no canonical form.
    """
    kept = {item.item_id: item for item in items}
    rows = [kept[item_id] for item_id in sorted(kept)]
    columns = [
        [item.item_id for item in rows],
        [item.title or "" for item in rows],
        [item.all_tags() for item in rows],
        [float("nan") if item.price is None else item.price for item in rows],
        [UNKNOWN_TIME if item.created_at is None else _microseconds(item.created_at) for item in rows],
        [_attributes(item) for item in rows],
    ]
    return pa.table(
        [pa.array(column, type_) for column, type_ in zip(columns, CATALOG.types, strict=True)], schema=CATALOG
    )


def _attributes(item: Item) -> str:
    if item.attributes is None:
        return ""
    try:
        check(item.attributes, "/attributes")
        return canonicalise(item.attributes)
    except (InvalidRequest, ValueError) as error:
        raise PipelineError(f"Item {item.item_id!r}, attributes: {error}", "Correct it, or take it out.") from None


def _microseconds(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
