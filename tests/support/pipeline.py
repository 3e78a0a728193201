"""Small tables of events for the pipelines, and where they run."""

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.pipelines.canonicalise import EVENTS
from recsys.pipelines.compute import Inputs
from recsys.pipelines.engine import DuckDBEngine, Engine
from recsys.pipelines.settings import PipelineSettings
from recsys.pipelines.visits import Coded, code, select_events
from recsys.pipelines.window import Window

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 10))


@dataclass(frozen=True)
class Event:
    """One canonical event; ``minute`` counts from the beginning of the window."""

    item: str
    session: str = "s"
    user: str = "u"
    minute: float = 0
    kind: str = "view"
    segment: str = "default"


def write_events(path: Path, events: Iterable[Event]) -> Path:
    rows = [
        {
            "event_id": f"e{number}", "at": BEGIN + timedelta(minutes=event.minute), "tenant": "t", "surface": "home",
            "segment": event.segment, "user_id": event.user, "session_id": event.session, "item_id": event.item,
            "event_type": event.kind, "value": None,
        }
        for number, event in enumerate(events)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=EVENTS), path)
    return path


@dataclass
class Bench:
    """An engine over files of a directory."""

    engine: Engine
    directory: Path
    _files: int = field(default=0)

    def events(self, *events: Event) -> Path:
        self._files += 1
        return write_events(self.directory / f"{self._files}.parquet", events)

    def coded(self, *events: Event, gap_minutes: float = 30) -> Coded:
        return code(self.engine, select_events(self.engine.read([self.events(*events)]), None), gap_minutes)


@contextmanager
def duckdb_bench(directory: Path, threads: int = 2) -> Iterator[Bench]:
    engine = DuckDBEngine(directory / "spill", 512, threads)
    yield Bench(engine, directory)
    engine.close()


def sessions(**items: str) -> list[Event]:
    """Sessions by name, an item a letter, a minute each, one hour after the other."""
    return [
        Event(item, session=name, user=name, minute=60 * number + place)
        for number, (name, letters) in enumerate(items.items())
        for place, item in enumerate(letters)
    ]


def two_groups() -> list[Event]:
    """Users p0 … p3 and q0 … q3, of whom each has most of the items of his group, abcd and wxyz; p1 lacks a, q1 w."""
    return [
        Event(item, user=f"{group}{number}", session=f"{group}{number}")
        for group, items in (("p", "abcd"), ("q", "wxyz"))
        for number in range(4)
        for item in items[number:] + items[: max(0, number - 1)]
    ]


def random_events(count: int, seed: int) -> list[Event]:
    """Skewed events of all kinds over the whole window, some without a session, with ids beyond ASCII."""
    draw = random.Random(seed)
    items = [f"{'é' if number % 7 == 0 else 'i'}{number:03}" for number in range(40)] + ["", "𝒛"]
    weights = [1 / (place + 1) for place in range(len(items))]
    kinds = ["view", "click", "add_to_cart", "purchase"]
    made = []
    for _ in range(count):
        user = draw.randrange(30)
        day, minute = draw.randrange(10), draw.randrange(1_400)
        session = f"s{user}-{day}" if user % 3 else ""
        item = draw.choices(items, weights)[0]
        kind = draw.choice(kinds) if item else "conversion"
        made.append(Event(item, session, f"{user:032x}", 1_440 * day + minute, kind))
    return made


def inputs(engine: Engine, tables: Sequence[Path], settings: PipelineSettings | None = None) -> Inputs:
    return Inputs(
        engine=engine, tables=tables, segment=None, window=WINDOW, settings=settings or PipelineSettings(),
        fingerprints={"events": "e", "catalog": "c", "vectors": "v"},
    )  # fmt: skip


def silent(*_: object) -> None:
    """Nobody is told how far it is."""


def as_dict(table: pa.Table) -> dict[tuple[str, ...], float]:
    """Scores by the texts of their row."""
    *names, score = table.column_names
    keys = zip(*(table.column(name).cast(pa.string()).to_pylist() for name in names), strict=True)
    return dict(zip(keys, table.column(score).to_pylist(), strict=True))
