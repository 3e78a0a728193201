"""What the thread of the log does: exposures and events into files, each event once, and old days away."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from recsys.domain.event import Event, event_line
from recsys.domain.exposure import ExposureFormat
from recsys.storage.log_files import LogFiles
from recsys.storage.salt import keep_salt
from recsys.storage.seen_events import NAME, SeenEvents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from recsys.domain.ports import Clock
    from recsys.domain.subject import SubjectKeys

EXPOSURES, EVENTS = "exposures", "events"
TIDY_EVERY = timedelta(hours=1)
_BREATH = 100
"""Records encoded in a row; then the event loop may have the interpreter."""


Shown: TypeAlias = tuple[str, date, bytes]
"""An exposure: whose tenant's, on which day, and its lines."""


@dataclass(frozen=True)
class LogSettings:
    """Where and how to log. ``retention_days`` 0: for ever."""

    directory: Path
    exposures: ExposureFormat = "service_v1"
    queue_records: int = 20_000
    file_bytes: int = 64 * 1024 * 1024
    retention_days: int = 90
    fsync: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Events of a tenant that somebody waits for; ``done`` gets, for each, whether it is new."""

    tenant_id: str
    events: Sequence[Event]
    received_at: datetime
    done: Future[list[bool]] = field(default_factory=Future)


class LogWriter:
    """Writes; for one thread."""

    def __init__(self, settings: LogSettings, subjects: SubjectKeys, clock: Clock) -> None:
        self._settings = settings
        self._subjects = subjects
        self._clock = clock
        self._files = LogFiles(settings.directory, settings.file_bytes)
        self._seen = SeenEvents(settings.directory / NAME, durable=settings.fsync)
        self._encode = msgspec.json.Encoder().encode
        self._tidied_at: datetime | None = None
        self._more_to_forget = False

    def prepare(self) -> None:
        """Have the directory and the salt. Raises OSError."""
        self._settings.directory.mkdir(parents=True, exist_ok=True)
        if not self._subjects.ready:
            self._subjects.use(keep_salt(self._settings.directory))

    def write_exposures(self, exposures: Iterable[Shown]) -> tuple[int, OSError | None]:
        """Write what can be written: how many were, and why the others could not be."""
        try:
            self.prepare()
        except OSError as error:
            return 0, error
        gathered: dict[tuple[str, date], list[bytes]] = defaultdict(list)
        for tenant_id, day, lines in exposures:
            gathered[tenant_id, day].append(lines)
        written, failure = 0, None
        for (tenant_id, day), some in gathered.items():
            try:
                self._files.append(EXPOSURES, tenant_id, day, b"".join(some))
                written += len(some)
            except OSError as error:
                failure = error
        return written, failure

    def write_events(self, batches: Sequence[Batch]) -> list[list[bool]]:
        """Write the events that are new, each once, and say which those are.

        The lines come first and the index second: whoever dies in between leaves events without an entry, which are
        written again when they are sent again; the other way round they would be lost.

        Raises:
            OSError, sqlite3.Error: nothing was accepted.
            Overloaded: another process holds the index for too long.
        """
        self.prepare()
        gathered: dict[str, list[Batch]] = defaultdict(list)
        for batch in batches:
            gathered[batch.tenant_id].append(batch)
        verdicts: dict[Batch, list[bool]] = {}
        with self._seen.changing():
            for tenant_id, some in gathered.items():
                self._write_tenant(tenant_id, some, verdicts)
        return [verdicts[batch] for batch in batches]

    def tidy(self) -> None:
        """Remove what is older than the retention, at most once an hour; the index by and by. Raises as above."""
        if not self._settings.retention_days:
            return
        now = self._clock.now()
        before = now.date() - timedelta(days=self._settings.retention_days)
        # A clock that was put back counts as time that has passed: nobody knows how much it did.
        if self._tidied_at is None or not self._tidied_at <= now < self._tidied_at + TIDY_EVERY:
            self._tidied_at = now
            self._files.prune(before)
            self._more_to_forget = (self._settings.directory / NAME).exists()
        if self._more_to_forget:
            self._more_to_forget = False  # should it fail: not again before the next hour
            self._more_to_forget = self._seen.prune(before, now.date())

    def close(self) -> None:
        """Let go of the index."""
        self._seen.close()

    def _write_tenant(self, tenant_id: str, batches: Sequence[Batch], verdicts: dict[Batch, list[bool]]) -> None:
        seen = self._seen.known(tenant_id, {each.event_id for batch in batches for each in batch.events})
        new: dict[date, list[tuple[Event, datetime]]] = defaultdict(list)
        for batch in batches:
            verdicts[batch] = []
            for event in batch.events:
                is_new = event.event_id not in seen
                verdicts[batch].append(is_new)
                if is_new:
                    seen.add(event.event_id)
                    new[batch.received_at.date()].append((event, batch.received_at))
        for day, events in new.items():
            lines = []
            for event, received_at in events:
                lines.append(self._encode(event_line(event, tenant_id, received_at, self._subjects)))
                if len(lines) % _BREATH == 0:
                    time.sleep(0)
            self._files.append(EVENTS, tenant_id, day, _joined(lines), durable=self._settings.fsync)
            self._seen.add(tenant_id, [event.event_id for event, _ in events], day)


def _joined(lines: list[bytes]) -> bytes:
    return b"\n".join((*lines, b""))
