"""A file of rows, NDJSON or CSV: checked whole, every fault with its line, then read row by row and never held."""

from __future__ import annotations

import codecs
import csv
import re
from array import array
from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import msgspec
import numpy as np

from recsys.domain.canonical import check, has_plain_keys, parse
from recsys.domain.catalogue import MOST_PAIR_BYTES, ROW_KEYS, ROW_TYPES, Covisit, Item
from recsys.domain.csv_header import header_fault
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.validation import check_time, convert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.domain.canonical import Json
    from recsys.domain.catalogue import Dataset, Row

LoadFormat = Literal["ndjson", "csv"]
MOST_FAULTS = 1_000
MOST_LINE_BYTES = 1_048_576
NUMBERS = ("price", "score")
LIST_SEPARATOR = "|"
_NUMBER = re.compile(r" *-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? *")
"""As in JSON: ``float`` takes more (``1_000``, digits of other scripts), which nobody means."""

csv.field_size_limit(MOST_LINE_BYTES)
"""For the whole process, as ``csv`` knows no other way: its own limit would refuse cells that a line has room for."""


class _CsvRecord(NamedTuple):
    header: list[str]
    cells: list[str]


class RowFile:
    """The rows of one dataset in an open file, which is read from its beginning each time.

    ``latest_day``: rows of a later day are refused.
    """

    def __init__(self, file: BinaryIO, dataset: Dataset, format_: LoadFormat, *, latest_day: date = date.max) -> None:
        self._file = file
        self._latest_day = latest_day
        self._format = format_
        self._decoder = msgspec.json.Decoder(ROW_TYPES[dataset])
        self._keys = ROW_KEYS[dataset]
        self._key = attrgetter(*self._keys)

    def __iter__(self) -> Iterator[Row]:
        """Every row, decoded when it is asked for. Raises InvalidRequest: :meth:`check` would have said what."""
        for _, record in self._records():
            yield self._read(record)

    def check(self) -> int:
        """How many rows there are. Takes about ten bytes of memory for each.

        Raises:
            InvalidRequest: naming faults with their lines, at most 1,000; a key that stands twice is one.
        """
        hashes = array("q")
        faults: list[Fault] = []
        for line, record in self._records():
            try:
                row = self._read(record)
            except InvalidRequest as error:
                faults += [msgspec.structs.replace(fault, line=line) for fault in error.faults]
                if len(faults) >= MOST_FAULTS:
                    raise InvalidRequest(faults=faults[:MOST_FAULTS]) from None
            else:
                hashes.append(hash(self._key(row)))
        faults += self._repeated(_that_repeat(hashes), MOST_FAULTS - len(faults))
        if faults:
            raise InvalidRequest(faults=sorted(faults, key=lambda fault: fault.line or 0))
        return len(hashes)

    def _repeated(self, hashes: set[int], most: int) -> Iterator[Fault]:
        """Keys that stood in a line before, of those with one of these hashes: two keys may share one."""
        if not hashes:
            return
        seen: dict[Any, int] = {}
        for line, record in self._records():
            try:
                key = self._key(self._read(record))
            except InvalidRequest:
                continue
            if hash(key) in hashes and (first := seen.setdefault(key, line)) != line:
                yield Fault("", f"The same {', '.join(self._keys)} as in line {first}.", line=line)
                most -= 1
                if not most:
                    return

    def _read(self, record: bytes | _CsvRecord) -> Row:
        row = _row(record, self._decoder)
        if not isinstance(row, Item) and row.day > self._latest_day:
            detail = f"More than a day ahead of the service's clock; the latest day is now {self._latest_day} (UTC)."
            raise InvalidRequest(faults=[Fault("/day", detail)])
        return row

    def _records(self) -> Iterator[tuple[int, bytes | _CsvRecord]]:
        self._file.seek(0)
        return _lines(self._file) if self._format == "ndjson" else _csv_records(self._file)


def read_rows(file: BinaryIO, dataset: Dataset, format_: LoadFormat) -> list[Row]:
    """All rows of a file that is not large. Raises InvalidRequest as :meth:`RowFile.check` does."""
    rows = RowFile(file, dataset, format_)
    rows.check()
    return list(rows)


def _that_repeat(hashes: array[int]) -> set[int]:
    """Those that are there more than once, 1,000 at most; sorts them in place."""
    if not hashes:
        return set()
    found = np.frombuffer(hashes, dtype=np.int64)
    found.sort()
    again = np.flatnonzero(found[1:] == found[:-1])
    return set(np.unique(found[again])[:MOST_FAULTS].tolist())


def _row(record: bytes | _CsvRecord, decoder: msgspec.json.Decoder[Row]) -> Row:
    row = _decoded_row(record, decoder)
    if isinstance(row, Item) and row.created_at is not None:
        check_time(row.created_at, "/created_at")
    if isinstance(row, Covisit) and row.pair_bytes > MOST_PAIR_BYTES:
        detail = f"Together with item_id at most {MOST_PAIR_BYTES} bytes in UTF-8, got {row.pair_bytes}."
        raise InvalidRequest(faults=[Fault("/neighbor_id", detail)])
    return row


def _decoded_row(text: bytes | _CsvRecord, decoder: msgspec.json.Decoder[Row]) -> Row:
    record = _to_json(text) if isinstance(text, _CsvRecord) else text
    # The quick way for what is plainly right; the thorough one finds words for everything else, and looks into
    # attributes, which may be anything.
    try:
        if isinstance(record, dict):
            check(record)
            return msgspec.convert(record, decoder.type)
        if has_plain_keys(record) and b'"attributes"' not in record:
            return decoder.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return convert(record if isinstance(record, dict) else parse(record), decoder.type)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """NDJSON: the number and text of each line that is not blank, without a byte order mark at the beginning."""
    for number, text in _numbered(file):
        line = text.removeprefix(codecs.BOM_UTF8) if number == 1 else text
        if line.strip():
            yield number, line


def _csv_records(file: BinaryIO) -> Iterator[tuple[int, _CsvRecord]]:
    """CSV: the number of the line where each record begins, and its cells under the header.

    Raises:
        InvalidRequest: text that is not UTF-8 or not CSV, cells that something else than commas separates, a column
            twice.
    """
    _check_line_ends(file)
    rows = _csv_rows(file)
    line, header = next(rows, (1, []))
    if fault := header_fault(header):
        raise InvalidRequest(faults=[Fault("", fault, line=line)])
    for line, cells in rows:
        yield line, _CsvRecord(header, cells)


def _csv_rows(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """The number of the line where each row begins, and its cells; blank lines are passed over."""
    reader = csv.reader(_decoded(file), strict=True)
    begin = 1
    try:
        for cells in reader:
            if cells:
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        what = str(error).partition(" - ")[0]  # what may follow is advice to who opens files in Python
        detail = f"Not CSV, in the record that begins here: {what}."
        raise InvalidRequest(faults=[Fault("", detail, line=begin)]) from None


def _check_line_ends(file: BinaryIO) -> None:
    """Refuse what seems to be a single line, since CR alone ends its lines."""
    if b"\r" in file.readline(MOST_LINE_BYTES).rstrip(b"\r\n"):
        detail = "The lines end with CR alone; save the file with LF or CRLF at their ends."
        raise InvalidRequest(faults=[Fault("", detail, line=1)])
    file.seek(0)


def _numbered(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line and its number.

    Raises:
        InvalidRequest: a line is longer than any row may be; to read on could take as much memory as the file is long.
    """
    number = 0
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise InvalidRequest(faults=[Fault("", f"A line has at most {MOST_LINE_BYTES} bytes.", line=number)])
        yield number, line


def _decoded(file: BinaryIO) -> Iterator[str]:
    for number, line in _numbered(file):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest(faults=[Fault("", f"Not UTF-8: {error.reason}.", line=number)]) from None


def _to_json(record: _CsvRecord) -> dict[str, Json]:
    """A CSV record as the JSON object it stands for: an empty cell is an absent field.

    Raises:
        InvalidRequest: it has more or fewer cells than the header; it may have been cut off.
    """
    names, cells = len(record.header), len(record.cells)
    if cells != names:
        compared = "More" if cells > names else "Fewer"
        raise InvalidRequest(faults=[Fault("", f"{compared} cells than the header names: {cells}, not {names}.")])
    return {name: _cell(name, cell) for name, cell in zip(record.header, record.cells, strict=True) if cell}


def _cell(name: str, cell: str) -> Json:
    if name == "tags":
        return list(filter(None, cell.split(LIST_SEPARATOR)))
    if name in NUMBERS and _NUMBER.fullmatch(cell):
        return float(cell)
    try:
        return parse(cell.encode()) if name == "attributes" else cell
    except InvalidRequest:
        return cell  # what it should have been is said when the whole record is checked
