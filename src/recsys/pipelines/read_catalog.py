"""The files that a user brings besides events: items, and vectors of items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.control.row_file import read_rows
from recsys.domain.catalogue import Item
from recsys.domain.errors import InvalidRequest
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.kinds.catalog import catalog

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = frozenset(Item.__struct_fields__)
_VECTORS = ["item_id", "vector"]


def read_catalog(path: Path) -> pa.Table:
    """Items as ``PUT /v1/admin/tenants/{t}/items`` takes them: JSON lines, CSV, or Parquet with the same columns.

    Raises:
        PipelineError: naming the line or the item that is wrong; the file cannot be read, or has no items.
    """
    readers = {".parquet": _parquet_items, ".csv": _csv_items}
    try:
        items = catalog(readers.get(path.suffix.lower(), _json_items)(path))
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{path} cannot be read: {error}", "Is it whole, and what its name says?") from error
    if items.num_rows == 0:
        raise PipelineError(f"{path} has no items.", "Leave --catalog out to keep the one that is served.")
    return items


def read_vectors(path: Path) -> pa.Table:
    """Parquet with the columns item_id and vector.

    Raises:
        PipelineError: it cannot be read, or lacks one.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if not {*_VECTORS} <= {*names}:
                raise PipelineError(f"{path} lacks item_id or vector; it has {', '.join(names)}.")
            return file.read(_VECTORS).select(_VECTORS)
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{path} cannot be read: {error}", "It is Parquet with item_id and vector.") from error


def _json_items(path: Path) -> Iterator[Item]:
    decode = msgspec.json.Decoder(Item).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
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
