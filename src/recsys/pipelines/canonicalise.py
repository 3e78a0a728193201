"""Canonicalise: one table of events per UTC day, from whatever is staged; the same rows give the same bytes.

Of rows with one event id the smallest counts (by time, then by its other columns), wherever and in whatever order they
came, so a day does not depend on when its events arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from recsys.pipelines.errors import LimitExceeded
from recsys.pipelines.ingest import StagedFile, rows_of, set_aside_line
from recsys.pipelines.place import Place, read_json, replacing, write_json, write_table

if TYPE_CHECKING:
    from recsys.pipelines.settings import Limits
    from recsys.pipelines.window import Window

EVENTS: Final = pa.schema(
    [
        ("event_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("tenant", pa.string()),
        ("surface", pa.string()),
        ("segment", pa.string()),
        ("user_id", pa.string()),
        ("session_id", pa.string()),
        ("item_id", pa.string()),
        ("event_type", pa.string()),
        ("value", pa.float64()),
    ]
)
"""``user_id`` and ``session_id`` are keys as serving makes them; they and ``item_id`` are empty where there is none."""

_DUPLICATED: Final = "SELECT event_id FROM staged GROUP BY event_id HAVING count(*) > 1"
_RANKED: Final = """
CREATE TEMP TABLE lost AS
SELECT filename, line, event_id, day FROM (
  SELECT filename, line, event_id, epoch_us("at") // 86400000000 AS day, row_number() OVER (
    PARTITION BY event_id
    ORDER BY "at", item_id, event_type, user_id, session_id, segment, value NULLS FIRST, filename, line) AS place
  FROM staged WHERE event_id IN (SELECT event_id FROM duplicated))
WHERE place > 1
"""
_KEPT: Final = """
SELECT event_id, "at", segment, user_id, session_id, item_id, event_type, value, epoch_us("at") // 86400000000 AS day
FROM staged ANTI JOIN lost USING (filename, line)
WHERE epoch_us("at") // 86400000000 IN (SELECT unnest($days))
ORDER BY "at", event_id
"""
_ROWS_AT_A_TIME: Final = 200_000


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day's table: what it was made from, its bytes and how many events it has."""

    inputs: str
    sha256: str
    events: int


class Canonical(msgspec.Struct, frozen=True, kw_only=True):
    """All days there are, by their date, and how many rows were duplicates of others."""

    days: dict[str, Day] = {}
    duplicates: int = 0


def canonicalise(
    place: Place, files: list[StagedFile], tenant: str, surface: str, window: Window, limits: Limits
) -> Canonical:
    """Bring the tables of a window's days up to what is staged; a day whose rows are the same is left alone.

    Raises:
        LimitExceeded: the window has more days or events than a run may take on.
    """
    if len(window) > limits.max_days_backfill:
        raise LimitExceeded("max_days_backfill", limits.max_days_backfill, len(window))
    wanted = {_number(day) for day in window.days()}
    events = sum(count for file in files for day, count in file.days.items() if day in wanted)
    if events > limits.max_events_per_run:
        raise LimitExceeded("max_events_per_run", limits.max_events_per_run, events)
    before = read_canonical(place)
    with _opened(place, files, limits) as database:
        lost = _lost(database)
        inputs = {day: _inputs(files, day, lost.get(day, [])) for day in wanted}
        stale = [day for day in sorted(wanted) if _is_stale(place, before, day, inputs[day])]
        made = _rebuild(place, database, stale, inputs, tenant, surface)
        _write_duplicates(place, database)
    days = {name: day for name, day in before.days.items() if _number(date.fromisoformat(name)) not in stale} | made
    after = Canonical(days=dict(sorted(days.items())), duplicates=sum(map(len, lost.values())))
    write_json(place.at("events", "days.json"), after)
    return after


def read_canonical(place: Place) -> Canonical:
    """What was made so far."""
    return read_json(place.at("events", "days.json"), Canonical) or Canonical()


def table_of(place: Place, day: date) -> Path:
    """The table of a day."""
    return place.root / "events" / f"{day.isoformat()}.parquet"


def tables_in(place: Place, canonical: Canonical, window: Window) -> list[Path]:
    """The tables of a window's days that have events, in order."""
    return [table_of(place, day) for day in window.days() if day.isoformat() in canonical.days]


def _opened(place: Place, files: list[StagedFile], limits: Limits) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute(f"SET memory_limit = '{limits.memory_mb}MB'")
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET temp_directory = ?", [str(place.at("_scratch", "canonicalise"))])
    paths = [str(rows_of(place, file)) for file in sorted(files, key=lambda file: file.key)]
    source = database.read_parquet(paths, filename=True)
    source.create_view("staged")
    return database


def _lost(database: duckdb.DuckDBPyConnection) -> dict[int, list[str]]:
    """The ids of the rows that do not count, by day."""
    database.execute(f"CREATE TEMP TABLE duplicated AS {_DUPLICATED}")
    database.execute(_RANKED)
    lost: dict[int, list[str]] = {}
    for day, event_id in database.execute("SELECT day, event_id FROM lost ORDER BY day, event_id").fetchall():
        lost.setdefault(day, []).append(event_id)
    return lost


def _inputs(files: list[StagedFile], day: int, lost: list[str]) -> str:
    """What a day's table depends on: the rows that were staged and, of these, those that do not count."""
    rows = sorted(file.sha256 for file in files if day in file.days)
    return hashlib.sha256("\n".join((*rows, "", *lost)).encode()).hexdigest()


def _is_stale(place: Place, before: Canonical, day: int, inputs: str) -> bool:
    known = before.days.get(_date(day).isoformat())
    return known is None or known.inputs != inputs or not table_of(place, _date(day)).exists()


def _rebuild(
    place: Place,
    database: duckdb.DuckDBPyConnection,
    stale: list[int],
    inputs: dict[int, str],
    tenant: str,
    surface: str,
) -> dict[str, Day]:
    made: dict[str, Day] = {}
    for day, rows in _by_day(database, stale):
        table = _as_events(rows, tenant, surface)
        digest = write_table(table_of(place, _date(day)), table)
        made[_date(day).isoformat()] = Day(inputs=inputs[day], sha256=digest, events=table.num_rows)
    for day in stale:
        if _date(day).isoformat() not in made:
            table_of(place, _date(day)).unlink(missing_ok=True)
    return made


def _by_day(database: duckdb.DuckDBPyConnection, days: list[int]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each day that has any; one day is in memory at a time."""
    if not days:
        return
    waiting: list[pa.RecordBatch] = []
    current = -1
    for batch in database.sql(_KEPT, params={"days": days}).to_arrow_reader(_ROWS_AT_A_TIME):
        numbers = batch.column("day").to_numpy()
        for day in sorted(set(numbers.tolist())):
            begin, end = numbers.searchsorted([day, day + 1])
            if day != current and waiting:
                yield current, pa.Table.from_batches(waiting)
                waiting = []
            current = day
            waiting.append(batch.slice(begin, end - begin))
    if waiting:
        yield current, pa.Table.from_batches(waiting)


def _as_events(rows: pa.Table, tenant: str, surface: str) -> pa.Table:
    fixed: dict[str, Any] = {"tenant": tenant, "surface": surface}
    columns = [
        pa.repeat(pa.scalar(fixed[name], type_), rows.num_rows) if name in fixed else pc.cast(rows.column(name), type_)
        for name, type_ in zip(EVENTS.names, EVENTS.types, strict=True)
    ]
    return pa.table(columns, schema=EVENTS)


def _write_duplicates(place: Place, database: duckdb.DuckDBPyConnection) -> None:
    found = database.execute("SELECT parse_filename(parse_path(filename)[-2]), line, event_id FROM lost ORDER BY ALL")
    with replacing(place.at("events", "duplicates.jsonl")) as own, own.open("wb") as file:
        while rows := found.fetchmany(10_000):
            for key, line, event_id in rows:
                detail = f"event_id: {event_id!r} stands in another row that counts."
                file.write(set_aside_line(f"{key}:{line}", "duplicate", detail))


def _number(day: date) -> int:
    return day.toordinal() - _EPOCH.toordinal()


def _date(number: int) -> date:
    return _EPOCH + timedelta(days=number)


_EPOCH: Final = date(1970, 1, 1)
