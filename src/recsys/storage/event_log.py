"""The ``EventLog`` port: a queue, and one thread of this process that empties it into files."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from recsys.domain.errors import NotReady, Overloaded, RecsysError
from recsys.domain.exposure import LINES
from recsys.storage.log_writer import Batch, LogSettings, LogWriter, Shown
from recsys.storage.salt import read_salt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from recsys.domain.event import Event
    from recsys.domain.exposure import Exposure
    from recsys.domain.ports import Clock, LogObserver
    from recsys.domain.subject import SubjectKeys

log = logging.getLogger(__name__)

POLL_S = 0.05
EVENTS_AT_ONCE = 10_000
COMPLAIN_EVERY_S = 60.0


class FileEventLog:
    """Exposures and events as files of lines in a directory; see docs/events.md.

    Everything but :meth:`_run` and what it calls belongs to the event loop's thread.
    """

    def __init__(self, settings: LogSettings, subjects: SubjectKeys, clock: Clock, observer: LogObserver) -> None:
        self._settings = settings
        self._subjects = subjects
        self._observer = observer
        self._writer = LogWriter(settings, subjects, clock)
        self._lines_of = LINES.get(settings.exposures)
        self._exposures: deque[Shown] = deque()
        self._batches: deque[Batch] = deque()
        self._waiting = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._complaint_at = -COMPLAIN_EVERY_S
        self._failures = 0

    def start(self) -> None:
        """Begin to take exposures, and find the salt; without exposures nothing is made before the first event."""
        try:
            if self._settings.exposures != "off":
                self._writer.prepare()
            elif not self._subjects.ready and (salt := read_salt(self._settings.directory)) is not None:
                self._subjects.use(salt)
        except OSError as error:
            self._complain(error)
        if self._settings.exposures != "off":
            self._start_thread()

    def expose(self, exposure: Exposure) -> None:
        # Made into lines here: that takes less than a thread that wants the interpreter for it costs the event loop.
        if self._lines_of is None:
            return
        if len(self._exposures) < self._settings.queue_records:
            shown = (exposure.meta.tenant_id, exposure.time.date(), self._lines_of(exposure))
            self._exposures.append(shown)
        else:
            self._observer.exposure_refused()

    async def append(self, tenant_id: str, events: Sequence[Event], received_at: datetime) -> list[bool]:
        if self._stopping:
            raise NotReady("The service is ending; send the events again.")
        if self._waiting + len(events) > self._settings.queue_records:
            raise Overloaded("Too many events are waiting to be written; try again.")
        self._start_thread()
        batch = Batch(tenant_id, events, received_at)
        self._waiting += len(events)
        try:
            self._batches.append(batch)
            self._wake.set()
            return await asyncio.wrap_future(batch.done)
        finally:
            self._waiting -= len(events)

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait(POLL_S)
            self._wake.clear()
            last = self._stopping  # read before the queues are: what came before it is written
            self._write_events()
            self._write_exposures()
            self._tidy()
            if last:
                self._writer.close()
                return

    def _write_events(self) -> None:
        while batches := self._take_batches():
            try:
                verdicts = self._writer.write_events(batches)
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
                self._refuse(batches, error)
            else:
                for batch, verdict in zip(batches, verdicts, strict=True):
                    batch.done.set_result(verdict)

    def _take_batches(self) -> list[Batch]:
        """Whoever waits, up to a bound: their events are committed together."""
        taken: list[Batch] = []
        count = 0
        while self._batches and count < EVENTS_AT_ONCE:
            batch = self._batches.popleft()
            if batch.done.set_running_or_notify_cancel():
                taken.append(batch)
                count += len(batch.events)
        return taken

    def _refuse(self, batches: list[Batch], error: Exception) -> None:
        if isinstance(error, RecsysError):
            refusal = error
        else:
            self._complain(error)
            refusal = NotReady("The event log cannot be written. The events were not accepted; send them again.")
        for batch in batches:
            batch.done.set_exception(refusal)

    def _write_exposures(self) -> None:
        """Write what is queued, all of a tenant's in one go."""
        waiting = len(self._exposures)
        self._observer.queued(waiting)
        if not waiting:
            return
        written, failure = self._writer.write_exposures([self._exposures.popleft() for _ in range(waiting)])
        self._observer.exposures_written(written)
        if failure is not None:
            self._observer.exposures_lost(waiting - written)
            self._complain(failure)

    def _tidy(self) -> None:
        try:
            self._writer.tidy()
        except (OSError, sqlite3.Error, Overloaded) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Count a failure, and say so in the service's log: once a minute, however many there are."""
        self._observer.log_failed()
        self._failures += 1
        if time.monotonic() - self._complaint_at >= COMPLAIN_EVERY_S:
            self._complaint_at = time.monotonic()
            log.error("the event log in %s fails (%d times): %s", self._settings.directory, self._failures, error)
            self._failures = 0
