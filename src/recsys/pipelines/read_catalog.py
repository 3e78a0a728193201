"""The files that a user brings besides events: items, and vectors of items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.control.load_rows import read_rows
from recsys.domain.catalogue import Item
from recsys.domain.errors import InvalidRequest
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.kinds.catalog import catalog

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = frozenset(Item.__struct_fields__)


def read_catalog(path: Path) -> pa.Table:
    """Items as ``PUT /v1/admin/tenants/{t}/items`` takes them: JSON lines, CSV, or Parquet with the same columns.

    Raises:
        PipelineError: naming the line that is wrong.
    """
    readers = {".parquet": _parquet_items, ".csv": _csv_items}
    return catalog(readers.get(path.suffix.lower(), _json_items)(path))


def read_vectors(path: Path) -> pa.Table:
    """Parquet with the columns item_id and vector.

    Raises:
        PipelineError: it cannot be read, or lacks one.
    """
    try:
        table = pq.read_table(path, columns=["item_id", "vector"])
    except (OSError, ValueError) as error:
        raise PipelineError(f"{path} cannot be read: {error}", "It is Parquet with item_id and vector.") from error
    if table.column_names != ["item_id", "vector"]:
        raise PipelineError(f"{path} lacks item_id or vector; it has {', '.join(pq.read_schema(path).names)}.")
    return table


def _json_items(path: Path) -> Iterator[Item]:
    decode = msgspec.json.Decoder(Item).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise PipelineError(f"{path}:{number}: {error}", "Correct the line, or take it out.") from None


def _csv_items(path: Path) -> Iterator[Item]:
    try:
        with path.open("rb") as file:
            rows = read_rows(file, "items", "csv")
    except InvalidRequest as error:
        raise PipelineError(f"{path}: {error.detail}", "Correct the line, or take it out.") from None
    return (row for row in rows if isinstance(row, Item))


def _parquet_items(path: Path) -> Iterator[Item]:
    table = pq.read_table(path)
    for number, row in enumerate(table.select([name for name in table.column_names if name in _FIELDS]).to_pylist(), 1):
        fields: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
        try:
            yield msgspec.convert(fields, Item)
        except msgspec.ValidationError as error:
            raise PipelineError(f"{path}, row {number}: {error}", "Correct the row, or take it out.") from None
