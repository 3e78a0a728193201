"""What the thread of the log tidies away: old days of files, and old ids of the index by and by."""

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from recsys.domain.subject import SubjectKeys
from recsys.storage import seen_events
from recsys.storage.log_writer import LogSettings, LogWriter
from recsys.storage.seen_events import NAME, SeenEvents

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD, KEPT = date(2026, 1, 1), date(2026, 5, 1)
AT_ONCE = 10


class Clock:
    """Says what it was told."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_events, "PRUNED_AT_ONCE", AT_ONCE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> LogWriter:
    return LogWriter(LogSettings(directory=tmp_path), SubjectKeys(b"x" * 16), clock)


def remember(directory: Path, day: date, count: int) -> None:
    seen = SeenEvents(directory / NAME, durable=False)
    with seen.changing():
        seen.add("t", [f"{day}-{number}" for number in range(count)], day)
    seen.close()


def days(directory: Path) -> list[str]:
    connection = sqlite3.connect(directory / NAME)
    found = [day for (day,) in connection.execute("select day from seen order by rowid")]
    connection.close()
    return found


def test_the_index_is_tidied_in_steps_until_only_days_in_retention_are_left(tmp_path: Path, writer: LogWriter) -> None:
    remember(tmp_path, OLD, AT_ONCE * 2 + 1)
    remember(tmp_path, KEPT, 2)
    left = []
    for _ in range(4):
        writer.tidy()
        left.append(len(days(tmp_path)))
    assert left == [13, 3, 2, 2]
    assert days(tmp_path) == [str(KEPT)] * 2


def test_a_day_in_the_future_does_not_hold_up_the_days_after_it(tmp_path: Path, writer: LogWriter) -> None:
    future = date(2027, 1, 1)  # the clock of a host was a year ahead for one request
    remember(tmp_path, future, 1)
    remember(tmp_path, OLD, AT_ONCE * 3)
    for _ in range(4):
        writer.tidy()
    assert days(tmp_path) == [str(future)]


def test_what_grew_old_since_is_looked_for_once_an_hour(tmp_path: Path, writer: LogWriter, clock: Clock) -> None:
    remember(tmp_path, KEPT, 1)
    writer.tidy()
    remember(tmp_path, OLD, 1)
    writer.tidy()
    assert len(days(tmp_path)) == 2
    clock.time += timedelta(hours=1)
    writer.tidy()
    assert days(tmp_path) == [str(KEPT)]


def test_without_a_retention_nothing_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    remember(tmp_path, OLD, 1)
    LogWriter(LogSettings(directory=tmp_path, retention_days=0), SubjectKeys(b"x" * 16), clock).tidy()
    assert days(tmp_path) == [str(OLD)]
