"""The records of one file: JSON lines, CSV or Parquet; what cannot be read comes as a fault at its place."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.domain.csv_header import header_fault
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.raw_event import Record, SetAside

EXCERPT_BYTES: Final = 2_000
_FIELDS: Final = frozenset(Record.__struct_fields__)
_ROWS_AT_A_TIME: Final = 50_000
ENDINGS: Final = ".jsonl, .ndjson, .csv (each also with .gz) or .parquet"
_IDS: Final = ("event_id", "item_id", "user_id", "anonymous_id", "session_id")
_decode = msgspec.json.Decoder(Record).decode

Found = tuple[int, Record | SetAside, bytes]
"""The line (in Parquet: the row, from 1), what was read, and its beginning as it stands there."""


def read_records(name: str, file: BinaryIO, max_line_bytes: int) -> Iterator[Found]:
    """All records of a file in their order; the end of its name says what it is, and whether gzip has packed it.

    Raises:
        PipelineError: the file as a whole cannot be read.
    """
    packed = name.lower().endswith(".gz")
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    content = io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
    try:
        if suffix in ("jsonl", "ndjson"):
            yield from _json_lines(content, max_line_bytes)
        elif suffix == "csv":
            yield from _csv_rows(name, content, max_line_bytes)
        elif suffix == "parquet" and not packed:
            yield from _parquet_rows(name, file)
        else:
            raise PipelineError(f"{name} does not say what it is.", f"Its name has to end in {ENDINGS}.")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PipelineError(f"{name} cannot be unpacked: {error}", "Is it whole? Take it away or mend it.") from error


def _lines(file: BinaryIO, max_line_bytes: int) -> Iterator[tuple[int, bytes, SetAside | None]]:
    """Lines without their end; of one that is too long only its beginning is ever in memory."""
    number = 0
    while line := file.readline(max_line_bytes + 1):
        number += 1
        size, whole = len(line), line.endswith(b"\n")
        if not whole and size > max_line_bytes:
            while rest := file.readline(1 << 20):
                size += len(rest)
                if rest.endswith(b"\n"):
                    break
            yield (
                number,
                line,
                SetAside("line_too_long", f"The line has {size:,} bytes, of {max_line_bytes:,} allowed."),
            )
        else:
            yield number, line.rstrip(b"\r\n"), None if whole else SetAside("unfinished", "The last line has no end.")


def _json_lines(file: BinaryIO, max_line_bytes: int) -> Iterator[Found]:
    for number, line, fault in _lines(file, max_line_bytes):
        if fault and fault.reason == "line_too_long":
            yield number, fault, line[:EXCERPT_BYTES]
        elif (text := _without_mark(number, line)).strip():
            read = _read_line(text)
            # What a killed process left: as a rule half a record. A whole one only lacks the newline.
            yield number, fault if fault and isinstance(read, SetAside) else read, line[:EXCERPT_BYTES]


def _without_mark(number: int, line: bytes) -> bytes:
    """The byte order mark that some programs put before the first line is no part of it."""
    return line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _read_line(line: bytes) -> Record | SetAside:
    try:
        if not line.isascii():
            line.decode()  # the decoder does not look into fields that it does not know
        return _decode(line)
    except UnicodeDecodeError as error:
        return SetAside("bad_utf8", str(error))
    except msgspec.ValidationError as error:
        return _invalid(error)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return SetAside("nul" if b"\0" in line else "malformed", str(error))


def _invalid(error: msgspec.ValidationError) -> SetAside:
    missing = "missing required field" in str(error)
    return SetAside("missing_field" if missing else "invalid_field", str(error))


def _csv_rows(name: str, file: BinaryIO, max_line_bytes: int) -> Iterator[Found]:
    """Rows under a header. A line is a row: values hold no line breaks."""
    header: list[str] = []
    for number, line, fault in _lines(file, max_line_bytes):
        if fault and fault.reason == "line_too_long":
            yield number, fault, line[:EXCERPT_BYTES]
            continue
        text = _without_mark(number, line)
        if not text.strip():
            continue
        try:
            values = next(csv.reader(io.StringIO(text.decode()), strict=True))
        except UnicodeDecodeError as error:
            yield number, SetAside("bad_utf8", str(error)), line[:EXCERPT_BYTES]
            continue
        except csv.Error as error:
            yield number, SetAside("malformed", str(error)), line[:EXCERPT_BYTES]
            continue
        if not header:
            header = values
            _require_header(name, header, "The first line must name the columns, with commas between.")
        elif len(values) != len(header):
            detail = f"The row has {len(values)} values under {len(header)} names."
            yield number, SetAside("malformed", detail), line[:EXCERPT_BYTES]
        else:
            fields = {key: value for key, value in zip(header, values, strict=True) if value and key in _FIELDS}
            yield number, _convert(fields), line[:EXCERPT_BYTES]


def _require_header(name: str, header: list[str], hint: str) -> None:
    if fault := header_fault(header):
        raise PipelineError(f"{name}: {fault}")
    if "event_id" not in header:
        raise PipelineError(f"{name} has no column event_id; it has {', '.join(header)[:200]}.", hint)


def _parquet_rows(name: str, file: BinaryIO) -> Iterator[Found]:
    try:
        parquet = pq.ParquetFile(file)
        columns = [column for column in parquet.schema_arrow.names if column in _FIELDS]
        _require_header(name, parquet.schema_arrow.names, "Which columns are needed: docs/pipelines.md.")
        number = 0
        for batch in parquet.iter_batches(_ROWS_AT_A_TIME, columns=columns):
            for row in _with_text_ids(batch).to_pylist():
                number += 1
                fields = {key: value for key, value in row.items() if value is not None and value != ""}
                read = _convert(fields)
                excerpt = b"" if isinstance(read, Record) else json.dumps(fields, default=str).encode()[:EXCERPT_BYTES]
                yield number, read, excerpt
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"{name} cannot be read as Parquet: {error}", "Is it whole? Take it away or mend it."
        ) from error


def _with_text_ids(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Ids that a table keeps as whole numbers are their digits, as they would be in a CSV."""
    for column in _IDS:
        index = batch.schema.get_field_index(column)
        if index >= 0 and pa.types.is_integer(batch.schema.field(index).type):
            batch = batch.set_column(index, column, batch.column(index).cast(pa.string()))
    return batch


def _convert(fields: dict[str, Any]) -> Record | SetAside:
    try:
        return msgspec.convert(fields, Record, strict=False)
    except msgspec.ValidationError as error:
        return _invalid(error)
