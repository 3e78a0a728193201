"""The process over the workers: keeps as many as asked for, and replaces them one by one without a gap."""

from __future__ import annotations

import logging
import os
import signal
from multiprocessing.connection import wait
from time import monotonic
from typing import TYPE_CHECKING

from recsys.bootstrap.worker import Worker

if TYPE_CHECKING:
    import socket

    import uvicorn

    from recsys.bootstrap.settings import Settings

_log = logging.getLogger("uvicorn.error")  # where all about the server is logged

STEP_S = 0.1
RETRY_S = 1.0
FLUSH_S = 10.0
"""What a worker gets to write its log and close its database after its last request."""


class StartFailed(Exception):
    """A worker ended before any of them had served; it has logged why."""


class Terminal:
    """The terminal that this process was started from, if any. When it goes, it sends SIGHUP, too."""

    def __init__(self) -> None:
        self._is_there = self._can_be_opened()

    def has_gone(self) -> bool:
        """Whether it went since the last time this was asked."""
        was_there, self._is_there = self._is_there, self._is_there and self._can_be_opened()
        return was_there and not self._is_there

    @staticmethod
    def _can_be_opened() -> bool:
        try:
            os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        except OSError:
            return False
        return True


class Supervisor:
    """Runs ``settings.workers`` workers on shared sockets until SIGTERM or SIGINT.

    SIGHUP replaces them: one new worker, with the code and the files of that moment, comes up beside the old ones; when
    it serves, an old one is drained; then the next. If the new one does not come up, the old ones stay.

    SIGHUP because the terminal was closed ends the service, unless ``nohup`` had it ignored.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], settings: Settings) -> None:
        self._config = config
        self._sockets = sockets
        self._settings = settings
        self._workers: list[Worker] = []
        self._coming: Worker | None = None
        self._give_up_at = 0.0
        self._outdated: list[Worker] = []
        self._retiring: dict[Worker, float] = {}
        self._start_at = 0.0
        self._heard_at = 0.0
        self._has_served = False
        self._is_asked_to_reload = False
        self._is_reloading = False
        self._signals: list[int] = []
        self._terminal = Terminal()
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def run(self) -> None:
        """Serve until told to stop.

        Raises:
            StartFailed: nothing is left running.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _: self._signals.append(received))
        try:
            while not self._is_asked_to_stop():
                self._hear()
                self._bury_retired()
                self._replace_dead()
                self._start_missing()
                self._reload()
                self._sleep()
        finally:
            self._stop()

    def _is_asked_to_stop(self) -> bool:
        while self._signals:
            number = self._signals.pop(0)
            has_hung_up = number == signal.SIGHUP and self._terminal.has_gone()
            if number != signal.SIGHUP or (has_hung_up and not self._outlives_terminal):
                _log.info("Received %s, exiting.", signal.Signals(number).name)
                return True
            self._is_asked_to_reload |= not has_hung_up
        return False

    def _hear(self) -> None:
        now = monotonic()
        # Not more than a step or two: if this process was stopped, the workers have not been silent all that time.
        passed_s, self._heard_at = min(now - self._heard_at, 2 * STEP_S), now
        for worker in self._running():
            worker.hear(passed_s)
            self._has_served |= worker.ready

    def _running(self) -> list[Worker]:
        return [*self._workers, *([self._coming] if self._coming else [])]

    def _replace_dead(self) -> None:
        """Give up whoever has ended or hangs; the gap is filled."""
        for worker in list(self._workers):
            limit_s = self._settings.hung_s if worker.ready else self._settings.ready_s
            is_hung = worker.silent_s > limit_s
            if worker.process.is_alive() and not is_hung:
                continue
            _bury(worker)
            _log.error("Worker [%s] %s.", worker.pid, "hung" if is_hung else f"ended with {worker.exitcode}")
            if not self._has_served:
                raise StartFailed
            self._workers.remove(worker)
            if worker in self._outdated:
                self._outdated.remove(worker)
            if not worker.ready:
                self._start_at = monotonic() + RETRY_S

    def _start_missing(self) -> None:
        while len(self._running()) < self._settings.workers and monotonic() >= self._start_at:
            self._workers.append(self._start())

    def _start(self) -> Worker:
        settings = self._settings
        is_served = any(worker.ready for worker in self._workers)
        worker = Worker(self._config, self._sockets, drain_s=settings.draining_s, waits=is_served)
        worker.start()
        return worker

    def _reload(self) -> None:
        """One step of a replacement, if there is one."""
        if self._coming is not None:
            self._look_at(self._coming)
        elif self._retiring or len(self._workers) < self._settings.workers or not self._has_settled():
            return
        elif self._outdated:
            self._coming = self._start()
            self._give_up_at = monotonic() + self._settings.ready_s
        elif self._is_asked_to_reload:
            self._is_asked_to_reload = False
            self._outdated = list(self._workers)
            self._is_reloading = True
            _log.info("Received SIGHUP, replacing workers one by one.")
        elif self._is_reloading:
            self._is_reloading = False
            _log.info("Reload done.")

    def _has_settled(self) -> bool:
        return all(worker.ready for worker in self._workers)

    def _look_at(self, coming: Worker) -> None:
        """Let the new worker take the place of an old one, or give up."""
        is_alive = coming.process.is_alive()
        if is_alive and not coming.ready and monotonic() < self._give_up_at:
            return
        self._coming = None
        if not is_alive or not coming.ready:
            _bury(coming)
            why = "did not become ready" if is_alive else f"ended with {coming.exitcode} before it was ready"
            kept = ", ".join(str(worker.pid) for worker in self._workers)
            _log.error("Reload given up: the new worker [%s] %s. These serve on: %s.", coming.pid, why, kept)
            self._outdated.clear()
            self._is_reloading = False
            return
        self._workers.append(coming)
        if len(self._workers) > self._settings.workers:  # else somebody has died meanwhile, whose place it takes
            self._retire(self._outdated.pop(0))

    def _retire(self, worker: Worker) -> None:
        """Tell a worker to drain and end; it has until ``shutdown_s`` is over and its log written."""
        self._workers.remove(worker)
        worker.terminate()
        self._retiring[worker] = monotonic() + self._settings.shutdown_s + FLUSH_S

    def _bury_retired(self) -> None:
        for worker, deadline in list(self._retiring.items()):
            if worker.process.is_alive():
                if monotonic() < deadline:
                    continue
                _log.error("Worker [%s] did not end in time and is killed.", worker.pid)
            _bury(worker)
            del self._retiring[worker]

    def _stop(self) -> None:
        """End all workers, each drained; who comes now is refused as soon as the last of them has stopped to accept."""
        for each in self._sockets:
            each.close()
        if self._coming is not None:  # it may listen already, and have requests
            self._workers.append(self._coming)
            self._coming = None
        for worker in list(self._workers):
            self._retire(worker)
        while self._retiring:
            self._sleep()
            self._bury_retired()

    def _sleep(self) -> None:
        """Until the next step, or until a worker ends."""
        watched = [worker.process.sentinel for worker in (*self._running(), *self._retiring)]
        wait(watched, STEP_S)


def _bury(worker: Worker) -> None:
    worker.kill()
    worker.process.join()
