"""The states of workers as their supervisor sees them: started, ready, hung, replaced, drained; no process and no wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any, cast

import pytest

from recsys.bootstrap import supervisor as supervisor_module
from recsys.bootstrap.settings import Settings
from recsys.bootstrap.supervisor import FLUSH_S, STEP_S, StartFailed, Supervisor

Script = Generator[None, None, None]
FOREVER = 10_000


class Process:
    """What is asked of a ``multiprocessing.Process``."""

    def __init__(self) -> None:
        self.alive = True
        self.sentinel = object()

    def is_alive(self) -> bool:
        return self.alive

    def join(self) -> None:
        assert not self.alive, "the supervisor would wait for ever"


class FakeWorker:
    """Ready when it is told to be, and ends at once when told to, unless it is ``stubborn``."""

    def __init__(self, pid: int, *, waits: bool) -> None:
        self.pid = pid
        self.waits = waits
        self.process = Process()
        self.exitcode: int | None = None
        self.ready = False
        self.silent_s = 0.0
        self.stubborn = False
        self.done: list[str] = []

    def start(self) -> None:
        self.done.append("start")

    def hear(self, passed_s: float) -> None:
        self.silent_s += passed_s
        if self.ready:
            self.silent_s = 0.0

    def terminate(self) -> None:
        self.done.append("terminate")
        if not self.stubborn:
            self.end(0)

    def kill(self) -> None:
        if self.process.alive:
            self.done.append("kill")
            self.end(-9)

    def end(self, code: int) -> None:
        self.process.alive, self.exitcode = False, code


class Stage:
    """Where a supervisor runs: its workers are played, and each of its steps takes ``STEP_S`` on its clock."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.workers: list[FakeWorker] = []
        self._script: Script = iter_nothing()

    def make(self, *_: object, drain_s: float, waits: bool) -> FakeWorker:
        assert drain_s >= 0
        self.workers.append(FakeWorker(len(self.workers), waits=waits))
        return self.workers[-1]

    def step(self, watched: list[object], timeout_s: float) -> None:
        assert len(set(watched)) == len(watched), "the operating system refuses to watch anything twice"
        self.now += timeout_s
        if next(self._script, "over") == "over":
            os.kill(os.getpid(), signal.SIGTERM)

    def run(self, script: Callable[[Stage], Script], **settings: Any) -> None:
        """Run a supervisor; it is told to end when the script is over."""
        self._script = script(self)
        Supervisor(cast("Any", None), [], Settings(**settings)).run()

    def until(self, holds: Callable[[], bool], within_s: float = 5) -> Script:
        deadline = self.now + within_s
        while not holds():
            assert self.now < deadline, "it never came to that"
            yield

    def all_ready(self, workers: int) -> Script:
        yield from self.until(lambda: len(self.workers) == workers)
        for worker in self.workers:
            worker.ready = True
        yield

    def alive(self) -> list[int]:
        return [worker.pid for worker in self.workers if worker.process.alive]


def iter_nothing() -> Script:
    yield from ()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage()
    monkeypatch.setattr(supervisor_module, "Worker", stage.make)
    monkeypatch.setattr(supervisor_module, "wait", stage.step)
    monkeypatch.setattr(supervisor_module, "monotonic", lambda: stage.now)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield stage
    for number, handler in before.items():
        signal.signal(number, handler)


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def test_as_many_start_as_asked_for_and_all_are_told_to_end(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(3)
        assert [worker.waits for worker in stage.workers] == [False] * 3, "nobody serves yet, so nobody is waited for"

    stage.run(script, workers=3)
    assert [worker.done for worker in stage.workers] == [["start", "terminate"]] * 3


def test_a_first_worker_that_ends_before_it_served_ends_the_service(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.until(lambda: len(stage.workers) == 2)
        stage.workers[0].end(1)
        yield from stage.until(lambda: False, within_s=FOREVER)

    with pytest.raises(StartFailed):
        stage.run(script, workers=2)
    assert stage.alive() == []


def test_a_worker_that_gives_no_sign_of_life_is_killed_and_replaced(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(2)
        hung = stage.workers[0]
        hung.ready, hung.hear = True, lambda passed_s: setattr(hung, "silent_s", hung.silent_s + passed_s)  # type: ignore[method-assign]
        began = stage.now
        yield from stage.until(lambda: len(stage.workers) == 3)
        assert 5 <= stage.now - began < 5 + 3 * STEP_S
        assert hung.done == ["start", "kill"]
        assert stage.workers[2].waits, "another serves, so it listens when it is ready"

    stage.run(script, workers=2, hung_s=5)


def test_a_replacement_that_ends_at_once_is_not_started_again_and_again(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(2)
        stage.workers[0].end(-9)
        began = stage.now
        while stage.now - began < 5:
            for worker in stage.workers[2:]:
                worker.end(1)
            yield
        assert 3 <= len(stage.workers) - 2 <= 6, "once a second"

    stage.run(script, workers=2)


def test_a_reload_replaces_one_after_the_other_when_the_new_one_is_ready(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(2)
        for _ in range(5):  # impatiently: what comes before it began is one reload
            hang_up()
        for old in (0, 1):
            yield from stage.until(lambda old=old: len(stage.workers) == 3 + old)  # type: ignore[misc]
            assert old in stage.alive(), "it serves until the new one does"
            stage.workers[-1].ready = True
            yield from stage.until(lambda old=old: old not in stage.alive())  # type: ignore[misc]
        for _ in range(50):
            yield
        assert stage.alive() == [2, 3]
        assert stage.workers[0].done == ["start", "terminate"]

    stage.run(script, workers=2)


def test_a_new_worker_that_does_not_become_ready_replaces_nobody(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(2)
        hang_up()
        yield from stage.until(lambda: len(stage.workers) == 3)
        yield from stage.until(lambda: stage.workers[2].done == ["start", "kill"], within_s=11)
        for _ in range(50):
            yield
        assert stage.alive() == [0, 1]

    stage.run(script, workers=2, ready_s=10)


def test_an_old_worker_that_dies_during_a_reload_makes_room_for_the_new_one(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(2)
        hang_up()
        yield from stage.until(lambda: len(stage.workers) == 3)
        stage.workers[0].end(-9)
        stage.workers[2].ready = True
        yield from stage.until(lambda: len(stage.workers) == 4)
        assert stage.alive() == [1, 2, 3], "the new one took the place of the dead one, and another comes for the other"
        stage.workers[3].ready = True
        yield from stage.until(lambda: stage.alive() == [2, 3])
        for _ in range(50):
            yield
        assert len(stage.workers) == 4

    stage.run(script, workers=2)


def test_a_worker_that_does_not_drain_in_time_is_killed(stage: Stage) -> None:
    def script(stage: Stage) -> Script:
        yield from stage.all_ready(1)
        stage.workers[0].stubborn = True
        hang_up()
        yield from stage.until(lambda: len(stage.workers) == 2)
        stage.workers[1].ready = True
        yield from stage.until(lambda: "terminate" in stage.workers[0].done)
        began = stage.now
        yield from stage.until(lambda: stage.alive() == [1], within_s=100)
        assert 2 + FLUSH_S <= stage.now - began < 2 + FLUSH_S + 3 * STEP_S
        assert stage.workers[0].done == ["start", "terminate", "kill"]

    stage.run(script, shutdown_s=2)


def test_told_to_end_during_a_reload_the_new_worker_is_drained_like_the_others(stage: Stage) -> None:
    """It may have begun to listen a moment ago, and have been sent requests."""

    def script(stage: Stage) -> Script:
        yield from stage.all_ready(2)
        hang_up()
        yield from stage.until(lambda: len(stage.workers) == 3)

    stage.run(script, workers=2)
    assert [worker.done for worker in stage.workers] == [["start", "terminate"]] * 3
