"""Ingest: every file of the sources is read once, into a staged table of rows and a file of what was set aside."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.pipelines.errors import PipelineError
from recsys.pipelines.place import Place, file_hash, read_json, write_json
from recsys.pipelines.raw_event import Elsewhere, Judge, Row, SetAside
from recsys.pipelines.read_source import ENDINGS, Found, read_records

if TYPE_CHECKING:
    from recsys.domain.ports import SourceFile, SourceFiles

STAGED: Final = pa.schema(
    [
        ("event_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("segment", pa.string()),
        ("user_id", pa.string()),
        ("session_id", pa.string()),
        ("item_id", pa.string()),
        ("event_type", pa.string()),
        ("value", pa.float64()),
        ("line", pa.int64()),
    ]
)
_READER: Final = 3
"""Raised when the same file would be read or judged differently."""
_ROWS_AT_A_TIME: Final = 200_000
_DAY_US: Final = 86_400_000_000

Progress = Callable[[str, int, int], None]
"""Told what is being worked on, how much is done and how much there is."""


class StagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one source file. ``sha256``: of its rows; ``days``: events per UTC day, by number since 1970."""

    key: str
    sha256: str
    name: str
    bytes: int
    events: int
    elsewhere: int
    late: int
    out_of_order: int
    set_aside: dict[str, int]
    days: dict[int, int]


class SetAsideLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``set_aside.jsonl``: where it stands (``file:line``), why it does not count, and how it begins."""

    source: str
    reason: str
    detail: str
    excerpt: str = ""


@dataclass
class _Tally:
    events: int = 0
    elsewhere: int = 0
    late: int = 0
    out_of_order: int = 0
    latest: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)

    def count(self, row: Row) -> None:
        self.events += 1
        self.late += row.late
        self.out_of_order += row.at < self.latest
        self.latest = max(self.latest, row.at)
        self.days[row.at // _DAY_US] += 1


def ingest(
    place: Place, sources: SourceFiles, judge: Judge, max_line_bytes: int, progress: Progress
) -> list[StagedFile]:
    """Stage what is not staged yet, and tell of all files there are, in order of name.

    A file that has changed is read again as a whole, and one with lines from the future, which are so no longer once
    their time has come. Killed half-way, the next call goes on with the next file.

    Raises:
        PipelineError: there are no files, or one cannot be read.
    """
    try:
        files = sources.files()
    except OSError as error:
        raise PipelineError(str(error), "Is it there, and may it be read?") from error
    if not files:
        raise PipelineError("The sources have no files.", f"They end in {ENDINGS}.")
    total, done, staged = sum(file.size for file in files), 0, []
    for file in files:
        progress(f"ingest {file.name}", done, total)
        staged.append(_stage(place, sources, file, judge, max_line_bytes))
        done += file.size
    progress("ingest", total, total)
    return staged


def staged_files(place: Place) -> list[StagedFile]:
    """Everything that is staged, in order of key."""
    folders = sorted(place.at("staged").glob("*/counts.json"))
    return [found for path in folders if (found := read_json(path, StagedFile))]


def rows_of(place: Place, file: StagedFile) -> Path:
    """The staged table of a file."""
    return place.root / "staged" / file.key / "rows.parquet"


def set_aside_of(place: Place, file: StagedFile) -> Path:
    """What was set aside of a file, as JSON lines."""
    return place.root / "staged" / file.key / "set_aside.jsonl"


def _stage(place: Place, sources: SourceFiles, file: SourceFile, judge: Judge, max_line_bytes: int) -> StagedFile:
    key = _key(file, judge, max_line_bytes)
    folder = place.at("staged", key)
    found = read_json(folder / "counts.json", StagedFile)
    if found and "future" not in found.set_aside:
        return found
    own = folder.with_name(f".{key}.part")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    try:
        with sources.open(file) as stream:
            tally = _write(own, file.name, stream, judge, max_line_bytes)
    except OSError as error:
        raise PipelineError(f"{file.name} cannot be read: {error}") from error
    staged = StagedFile(
        key=key, sha256=file_hash(own / "rows.parquet"), name=file.name, bytes=file.size, events=tally.events,
        elsewhere=tally.elsewhere, late=tally.late, out_of_order=tally.out_of_order,
        set_aside=dict(sorted(tally.set_aside.items())), days=dict(sorted(tally.days.items())),
    )  # fmt: skip
    write_json(own / "counts.json", staged)
    place.remove("staged", key)
    own.rename(folder)
    _drop_older(place, staged)
    return staged


def _key(file: SourceFile, judge: Judge, max_line_bytes: int) -> str:
    """What names the staged rows of a file: its name, and whatever they depend on but the time of reading."""
    salt = judge.keys.key(judge.tenant_id, "user_id", "")
    how = (*sorted(judge.tenants), judge.surface, salt, str(max_line_bytes), str(_READER))
    parts = (file.name, str(file.size), file.version, judge.tenant_id, *how)
    name = hashlib.sha256(file.name.encode()).hexdigest()[:16]
    return f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def _drop_older(place: Place, staged: StagedFile) -> None:
    """An older state of the same file does not count twice."""
    for folder in place.at("staged").glob(f"{staged.key.partition('-')[0]}-*"):
        if folder.name != staged.key:
            shutil.rmtree(folder)


def _write(folder: Path, name: str, stream: BinaryIO, judge: Judge, max_line_bytes: int) -> _Tally:
    tally = _Tally()
    with (
        pq.ParquetWriter(folder / "rows.parquet", STAGED, compression="zstd", store_schema=False) as writer,
        (folder / "set_aside.jsonl").open("wb") as aside,
    ):
        columns: list[list[Any]] = [[] for _ in STAGED.names]
        for line, row in _judged(read_records(name, stream, max_line_bytes), name, judge, tally, aside):
            tally.count(row)
            for column, value in zip(columns, (*row[:-1], line), strict=True):
                column.append(value)
            if len(columns[0]) >= _ROWS_AT_A_TIME:
                _flush(writer, columns)
        _flush(writer, columns)
    return tally


def _judged(
    found: Iterator[Found], name: str, judge: Judge, tally: _Tally, aside: BinaryIO
) -> Iterator[tuple[int, Row]]:
    """The good rows; what is set aside is counted and written down."""
    for line, record, excerpt in found:
        verdict = record if isinstance(record, SetAside) else judge.judge(record)
        if isinstance(verdict, Row):
            yield line, verdict
        elif isinstance(verdict, Elsewhere):
            tally.elsewhere += 1
        else:
            tally.set_aside[verdict.reason] += 1
            aside.write(
                set_aside_line(
                    f"{name}:{line}", verdict.reason, verdict.detail, excerpt.decode(errors="backslashreplace")
                )
            )


def set_aside_line(source: str, reason: str, detail: str, excerpt: str = "") -> bytes:
    """One line of the file."""
    return msgspec.json.encode(SetAsideLine(source=source, reason=reason, detail=detail, excerpt=excerpt)) + b"\n"


def _flush(writer: pq.ParquetWriter, columns: list[list[Any]]) -> None:
    if columns[0]:
        arrays = [pa.array(column, type_) for column, type_ in zip(columns, STAGED.types, strict=True)]
        writer.write_table(pa.Table.from_arrays(arrays, schema=STAGED))
        for column in columns:
            column.clear()
