"""Bulk loads: read the whole file, name every fault with its line, then write all or nothing."""

from __future__ import annotations

import asyncio
import codecs
import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec

from recsys.domain.audit import AuditRecord
from recsys.domain.canonical import check, has_plain_keys, parse
from recsys.domain.catalogue import ROW_KEYS, ROW_TYPES, Item
from recsys.domain.csv_header import separator_fault
from recsys.domain.errors import Fault, InvalidRequest, Unprocessable
from recsys.domain.validation import check_time, convert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.domain.access import Actor
    from recsys.domain.canonical import Json
    from recsys.domain.catalogue import Dataset, LoadMode, Row
    from recsys.domain.ports import ControlStore

LoadFormat = Literal["ndjson", "csv"]
MOST_FAULTS = 1_000
NUMBERS = ("price", "score")
LIST_SEPARATOR = "|"
_EMPTY = (
    "There are no rows: a replace would remove all {dataset} of surface {surface}, which no rollback brings back. "
    "If that is meant: query parameter allow_empty=true."
)


class LoadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a bulk load wrote, and the data revision that it made."""

    dataset: str
    surface: str
    mode: str
    rows: int
    data_revision: int


@dataclass(frozen=True)
class Load:
    """What a bulk load is about.

    ``allow_empty``: a file without rows may take the place of what is there; data of tables has no rollback.
    """

    surface: str
    dataset: Dataset
    format_: LoadFormat
    mode: LoadMode = "upsert"
    allow_empty: bool = False


async def load_rows(store: ControlStore, actor: Actor, tenant_id: str, load: Load, spool: BinaryIO) -> LoadOutcome:
    """Write the rows of a file into one surface of a tenant.

    Raises:
        InvalidRequest: naming each fault (the first 1,000) with its line; nothing was written.
        Unprocessable: nothing would be left, and that is not allowed.
    """
    rows = await asyncio.to_thread(read_rows, spool, load.dataset, load.format_)
    if load.mode == "replace" and not rows and not load.allow_empty:
        raise Unprocessable(faults=[Fault("", _EMPTY.format(dataset=load.dataset, surface=load.surface))])
    record = AuditRecord(
        action=f"{load.dataset}.load",
        entity_type=load.dataset,
        entity_id=load.surface,
        extra={"rows": len(rows), "surface": load.surface, "mode": load.mode},
    )
    data_revision = await store.load(tenant_id, load.surface, load.dataset, rows, load.mode, actor, record)
    return LoadOutcome(
        dataset=load.dataset, surface=load.surface, mode=load.mode, rows=len(rows), data_revision=data_revision
    )


def read_rows(spool: BinaryIO, dataset: Dataset, format_: LoadFormat) -> list[Row]:
    """Read and check every row of a file.

    Raises:
        InvalidRequest: naming each fault with its line; a key that stands twice is one.
    """
    rows: list[Row] = []
    faults: list[Fault] = []
    seen: dict[tuple[Any, ...], int] = {}
    decoder = msgspec.json.Decoder(ROW_TYPES[dataset])
    for line, text in _lines(spool) if format_ == "ndjson" else _records(spool):
        try:
            row = _row(text, decoder)
        except InvalidRequest as error:
            faults += [msgspec.structs.replace(fault, line=line) for fault in error.faults]
        else:
            key = tuple(getattr(row, name) for name in ROW_KEYS[dataset])
            if (first := seen.setdefault(key, line)) != line:
                faults.append(Fault("", f"The same {', '.join(ROW_KEYS[dataset])} as in line {first}.", line=line))
            rows.append(row)
        if len(faults) >= MOST_FAULTS:
            break
    if faults:
        raise InvalidRequest(faults=faults)
    return rows


def _row(record: bytes | dict[str, Json], decoder: msgspec.json.Decoder[Row]) -> Row:
    row = _decoded_row(record, decoder)
    if isinstance(row, Item) and row.created_at is not None:
        check_time(row.created_at, "/created_at")
    return row


def _decoded_row(record: bytes | dict[str, Json], decoder: msgspec.json.Decoder[Row]) -> Row:
    if isinstance(record, dict):
        check(record)
        return convert(record, decoder.type)
    try:
        # The quick way for what is plainly right; the thorough one finds words for everything else, and looks into
        # attributes, which may be anything.
        if has_plain_keys(record) and b'"attributes"' not in record:
            return decoder.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return convert(parse(record), decoder.type)


def _lines(spool: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """NDJSON: the number and text of each line that is not blank, without a byte order mark at the beginning."""
    for number, text in enumerate(spool, 1):
        line = text.removeprefix(codecs.BOM_UTF8) if number == 1 else text
        if line.strip():
            yield number, line


def _records(spool: BinaryIO) -> Iterator[tuple[int, dict[str, Json]]]:
    """CSV: the number of the line where each record ends, and the record as a JSON object.

    Raises:
        InvalidRequest: text that is not UTF-8 or not CSV, or cells that something else than commas separates.
    """
    reader = csv.DictReader(_decoded(spool), strict=True)
    try:
        if fault := separator_fault(reader.fieldnames or ()):
            raise InvalidRequest(faults=[Fault("", fault, line=1)])
        for record in reader:
            yield reader.line_num, _to_json(record)
    except csv.Error as error:
        raise InvalidRequest(faults=[Fault("", f"Not CSV: {error}.", line=reader.line_num)]) from None


def _decoded(spool: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(spool, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest(faults=[Fault("", f"Not UTF-8: {error.reason}.", line=number)]) from None


def _to_json(record: dict[str | None, Any]) -> dict[str, Json]:
    """A CSV record as the JSON object it stands for: an empty cell is an absent field."""
    cells = {name: cell for name, cell in record.items() if cell not in (None, "")}
    if None in cells:
        # More cells than the header has names.
        return {f"column {len(record)}": "more cells than the header names"}
    return {str(name): _cell(str(name), cell) for name, cell in cells.items()}


def _cell(name: str, cell: str) -> Json:
    if name == "tags":
        return list(filter(None, cell.split(LIST_SEPARATOR)))
    try:
        if name == "attributes":
            return parse(cell.encode())
        return float(cell) if name in NUMBERS else cell
    except (ValueError, InvalidRequest):
        return cell  # what it should have been is said when the whole record is checked
