"""The log as a whole: a thread that writes, once, in time, within bounds, and goes on when it cannot."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recsys.domain.errors import NotReady, Overloaded
from recsys.domain.event import Event
from recsys.domain.exposure import Exposure
from recsys.domain.recommend import User
from recsys.domain.subject import SubjectKeys
from recsys.storage.event_log import FileEventLog
from recsys.storage.log_writer import LogSettings, LogWriter
from tests.support.clock import FakeClock
from tests.unit.domain.test_exposure import meta

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "ann@example.org"


class Observer:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def exposure_refused(self) -> None:
        self.counts["refused"] += 1

    def exposures_lost(self, count: int) -> None:
        self.counts["lost"] += count

    def exposures_written(self, count: int) -> None:
        self.counts["written"] += count

    def log_failed(self) -> None:
        self.counts["failed"] += 1

    def queued(self, records: int) -> None:
        self.counts["queued"] = max(self.counts["queued"], records)


class Log:
    """A log and what is around it."""

    def __init__(self, directory: Path, clock: FakeClock | None = None, **settings: Any) -> None:
        self.directory = directory
        self.clock = clock or FakeClock()
        self.observer = Observer()
        self.subjects = SubjectKeys()
        self.log = FileEventLog(LogSettings(directory, **settings), self.subjects, self.clock, self.observer)

    def expose(self, time: datetime = NOW) -> None:
        subject = self.subjects.of("t1", User(user_id=SECRET))
        self.log.expose(Exposure(time, "recommend", subject, 20, [], meta(), msgspec.Raw(b"[]"), msgspec.Raw(b"{}")))

    async def send(self, *event_ids: str, tenant_id: str = "t1") -> list[bool]:
        made = [
            Event(event_id=each, type="view", surface="home", item_id="i", user=User(user_id=SECRET))
            for each in event_ids
        ]
        return await self.log.append(tenant_id, made, self.clock.now())

    def lines(self, kind: str) -> list[dict[str, Any]]:
        found = sorted(self.directory.glob(f"{kind}/*/*/*.jsonl"))
        return [json.loads(line) for path in found for line in path.read_text().splitlines()]

    def ids(self) -> list[str]:
        return sorted(line["event_id"] for line in self.lines("events"))


@asynccontextmanager
async def running(directory: Path, **settings: Any) -> AsyncIterator[Log]:
    made = Log(directory, **settings)
    made.log.start()
    try:
        yield made
    finally:
        await made.log.stop()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_nothing_that_was_handed_over_is_missing_after_a_stop(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        for _ in range(500):
            log.expose()
    assert len(log.lines("exposures")) == 500
    assert log.observer.counts["written"] == 500
    assert not log.observer.counts["lost"]
    assert not log.observer.counts["refused"]


async def test_people_are_not_in_the_log_and_have_the_same_key_in_both_kinds(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        log.expose()
        await log.send("e1")
    keys = {line["subject"] for kind in ("exposures", "events") for line in log.lines(kind)}
    assert keys == {log.subjects.key("t1", "user_id", SECRET)}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written


async def test_an_event_is_written_before_it_is_acknowledged_and_once(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        assert await log.send("a", "b", "a") == [True, True, False]
        assert log.ids() == ["a", "b"]
        assert await log.send("b", "c") == [False, True]
        assert await log.send("a", tenant_id="t2") == [True], "another tenant's event of that name"
    async with running(tmp_path) as log:
        assert await log.send("a", "b", "c", "d") == [False, False, False, True], "a restart has not forgotten"
    assert log.ids() == ["a", "a", "b", "c", "d"]


async def test_workers_that_get_the_same_events_at_once_write_one_line_each(tmp_path: Path) -> None:
    async with running(tmp_path) as one, running(tmp_path) as other:
        for round_ in range(20):
            ids = [f"{round_}-{n}" for n in range(50)]
            found = await asyncio.gather(*(log.send(*ids) for log in (one, other, one, other)))
            assert [sum(each) for each in zip(*found, strict=True)] == [1] * 50
    assert one.ids() == sorted({f"{round_}-{n}" for round_ in range(20) for n in range(50)})


async def test_without_exposures_nothing_is_made_before_the_first_event(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    async with running(directory, exposures="off") as log:
        log.expose()
        assert not directory.exists()
        assert await log.send("a") == [True]
    assert log.lines("exposures") == []
    assert log.subjects.ready
    async with running(directory, exposures="off") as later:
        assert later.subjects.key("t1", "user_id", "u") == log.subjects.key("t1", "user_id", "u")


async def test_a_salt_that_is_set_is_not_kept(tmp_path: Path) -> None:
    made = Log(tmp_path)
    made.subjects.use(b"0123456789abcdef")
    made.log.start()
    await made.send("a")
    await made.log.stop()
    assert not (tmp_path / "salt").exists()


async def test_exposures_beyond_the_queue_are_dropped_and_counted(tmp_path: Path) -> None:
    log = Log(tmp_path, queue_records=10)
    for _ in range(13):
        log.expose()
    assert log.observer.counts["refused"] == 3
    log.log.start()
    await log.log.stop()
    assert len(log.lines("exposures")) == 10


async def test_events_beyond_the_queue_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, queue_records=10) as log:
        found = await asyncio.gather(
            *(log.send(*(f"{n}-{i}" for i in range(6))) for n in range(3)), return_exceptions=True
        )
        assert [type(each) for each in found] == [list, Overloaded, Overloaded]
        assert await log.send("a") == [True], "there is room again"


async def test_while_it_cannot_be_written_serving_goes_on_and_events_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "log"
    directory.touch()
    with caplog.at_level(logging.ERROR):
        async with running(directory) as log:
            for _ in range(100):
                log.expose()
            for _ in range(10):
                with pytest.raises(NotReady, match="not accepted"):
                    await log.send("a")
            await until(lambda: log.observer.counts["lost"] == 100)
            assert log.observer.counts["failed"] >= 11
            directory.unlink()
            assert await log.send("a") == [True], "once it can be written, it is"
            log.expose()
    assert len(log.lines("exposures")) == 1
    assert len([each for each in caplog.records if "event log" in each.message]) == 1, "one line a minute"


async def test_a_batch_whose_sender_is_gone_harms_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        gone = asyncio.ensure_future(log.send("a"))
        await asyncio.sleep(0)
        gone.cancel()
        assert await log.send("b") == [True]
    assert log.ids() in (["b"], ["a", "b"])


async def test_after_the_end_events_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        pass
    with pytest.raises(NotReady, match="ending"):
        await log.send("a")


def test_a_clock_that_was_a_year_ahead_for_a_moment_does_not_put_tidying_off_for_a_year(tmp_path: Path) -> None:
    clock = FakeClock()
    writer = LogWriter(LogSettings(tmp_path, retention_days=2), SubjectKeys(b"salt"), clock)
    clock.pass_by(days=365)
    writer.tidy()
    clock.pass_by(days=-365)
    old = tmp_path / "events" / "t1" / "2025-12-01"
    old.mkdir(parents=True)
    writer.tidy()
    assert not old.exists()


async def test_days_and_ids_beyond_the_retention_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock=clock, retention_days=2) as log:
        for _ in range(5):
            log.expose(clock.now())
            assert await log.send("again") in ([True], [False])
            assert await log.send(f"{clock.now():%d}") == [True]
            await until(lambda: not log.log._exposures)
            clock.pass_by(days=1)
        kept = ["2026-01-04", "2026-01-05"]
        await until(lambda: [path.name for path in sorted(tmp_path.glob("events/*/*"))] == kept)
        await until(lambda: [path.name for path in sorted(tmp_path.glob("exposures/*/*"))] == kept)
        assert await log.send("02") == [True], "an event from before the retention is new again"
        assert await log.send("05") == [False]
