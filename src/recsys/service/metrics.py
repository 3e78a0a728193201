"""What this service counts, and how it is counted: about 0.2 µs per number, because a hot path counts five of them."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from typing import TYPE_CHECKING

from recsys.service.exposition import Definition, expose
from recsys.service.metric_slots import SPILL, Reading, Series, Slots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from recsys.domain.recommend import Notice

LATENCY_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

REQUESTS = Definition("counter", "recsys_requests", "Requests answered.", ("endpoint", "status"))
LATENCY = Definition(
    "histogram", "recsys_request_duration_seconds", "Time to answer, by endpoint.", ("endpoint",), LATENCY_BUCKETS
)
EMPTY = Definition("counter", "recsys_empty_answers", "Recommendations without a single item.", ("tenant",))
SHORT = Definition("counter", "recsys_short_answers", "Recommendations with fewer than k items.", ("tenant",))
WARNINGS = Definition("counter", "recsys_answer_warnings", "Warnings in answers.", ("code",))
REVISION = Definition("gauge", "recsys_revision", "Revision served.", ("tenant",))
DATA_REVISION = Definition("gauge", "recsys_data_revision", "Data revision served.", ("tenant",))
STALENESS = Definition(
    "gauge", "recsys_control_plane_staleness_seconds", "Seconds since the control plane was last read.", ()
)
COPIES_REFUSED = Definition(
    "counter", "recsys_last_good_refused", "Starts that found a local copy which must not be served.", ()
)
COPY_ERRORS = Definition("counter", "recsys_last_good_errors", "Writes of the local copy that failed.", ())
RESTORED = Definition(
    "counter", "recsys_database_restored", "Times the database was found to be restored.", ("tenant",)
)
INCOMPATIBLE = Definition(
    "gauge", "recsys_incompatible_documents", "Documents that this version cannot read and does not serve.", ("tenant",)
)
ARTIFACTS_REFUSED = Definition(
    "counter", "recsys_artifact_refused", "Times a manifest was refused for one of its artifacts.", ("tenant",)
)
MANIFEST_AGE = Definition(
    "gauge", "recsys_manifest_age_seconds", "Seconds since the manifest became current.", ("tenant", "surface")
)
LISTENING = Definition(
    "gauge", "recsys_change_feed_up", "1 while changes are heard of, 0 while the database is polled instead.", ()
)
LISTENED = Definition("counter", "recsys_change_feed_connects", "Times that listening for changes began (again).", ())
HEARTBEATS_FAILED = Definition(
    "counter", "recsys_heartbeat_failures", "Times that a replica could not write how far it is.", ()
)
MISMATCHES = Definition("counter", "recsys_version_mismatches", "Changes refused because somebody was faster.", ())
EXPOSURES = Definition("counter", "recsys_exposures_written", "Exposures written to the log.", ())
DROPPED = Definition("counter", "recsys_exposures_dropped", "Exposures that did not get into the log.", ("reason",))
EVENTS = Definition("counter", "recsys_events", "Events received, by verdict.", ("verdict",))
LOG_ERRORS = Definition("counter", "recsys_log_errors", "Writes to the event log that failed.", ())
LOG_QUEUE = Definition("gauge", "recsys_log_queue", "Exposures that wait to be written.", ())
SPILLED = Definition("counter", "recsys_metrics_spilled", "Observations that found no slot: too many series.", ())

DEFINITIONS = {
    definition.name: definition
    for definition in (
        REQUESTS, LATENCY, EMPTY, SHORT, WARNINGS, REVISION, DATA_REVISION, STALENESS, COPIES_REFUSED,
        COPY_ERRORS, RESTORED, INCOMPATIBLE, ARTIFACTS_REFUSED, MANIFEST_AGE, LISTENING, LISTENED, HEARTBEATS_FAILED,
        MISMATCHES, EXPOSURES, DROPPED, EVENTS, LOG_ERRORS, LOG_QUEUE, SPILLED,
    )
}  # fmt: skip


class Metrics:
    """Counts for one worker, and the observer of its replica, feed, presence and log.

    :meth:`exposition` sums over all workers of a directory.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._slots = Slots(directory)
        self._values = self._slots.values
        self._requests: dict[tuple[str, int], tuple[int, int]] = {}
        self._counters: dict[tuple[str, str], int] = {}
        # The log's thread finds its slots here: only the event loop's makes any, and no slot has two writers.
        self._written = self._slot(EXPOSURES)
        self._lost = self._slot(DROPPED, "write_failed")
        self._log_errors = self._slot(LOG_ERRORS)
        self._log_queue = self._slot(LOG_QUEUE)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """One answered request."""
        found = self._requests.get((endpoint, status))
        if found is None:
            found = self._requests[endpoint, status] = (
                self._slot(REQUESTS, endpoint, str(status)),
                self._slot(LATENCY, endpoint),
            )
        counter, histogram = found
        values = self._values
        values[counter] += 1.0
        values[histogram + bisect_left(LATENCY_BUCKETS, seconds)] += 1.0
        values[histogram + len(LATENCY_BUCKETS) + 1] += seconds

    def answer(self, tenant_id: str, found: int, wanted: int, warnings: list[Notice]) -> None:
        """One recommendation: how long its list is, and what it warns of."""
        if found < wanted:
            self._count(SHORT if found else EMPTY, tenant_id)
        for warning in warnings:
            self._count(WARNINGS, warning.code)

    def events(self, accepted: int, duplicates: int, rejected: int) -> None:
        """One batch of events."""
        for verdict, count in (("accepted", accepted), ("duplicate", duplicates), ("rejected", rejected)):
            if count:
                self._count(EVENTS, verdict, count)

    def exposure_refused(self) -> None:
        """An exposure found the queue full."""
        self._count(DROPPED, "queue_full")

    def exposures_lost(self, count: int) -> None:
        """Exposures that could not be written."""
        self._values[self._lost] += count

    def exposures_written(self, count: int) -> None:
        """Exposures that were written."""
        self._values[self._written] += count

    def log_failed(self) -> None:
        """A write to the event log failed."""
        self._values[self._log_errors] += 1.0

    def queued(self, records: int) -> None:
        """How many exposures wait to be written."""
        self._values[self._log_queue] = records

    def version_mismatch(self) -> None:
        """A change that lost against a faster one."""
        self._count(MISMATCHES)

    def polled(self) -> None:
        """The control plane was read."""
        self._set(STALENESS, time.time())

    def copied(self, read_at: datetime) -> None:
        """A local copy is served: the view of the control plane is as old as that."""
        self._set(STALENESS, read_at.timestamp())

    def copy_refused(self) -> None:
        """The local copy must not be served."""
        self._count(COPIES_REFUSED)

    def copy_failed(self) -> None:
        """The local copy could not be written."""
        self._count(COPY_ERRORS)

    def serving(self, tenant_id: str, revision: int, data_revision: int) -> None:
        """A new snapshot is served."""
        self._set(REVISION, revision, tenant_id)
        self._set(DATA_REVISION, data_revision, tenant_id)

    def incompatible(self, tenant_id: str, documents: int) -> None:
        """How many of the tenant's current documents cannot be read."""
        self._set(INCOMPATIBLE, documents, tenant_id)

    def artifact_refused(self, tenant_id: str) -> None:
        """A manifest is refused for one of its artifacts."""
        self._count(ARTIFACTS_REFUSED, tenant_id)

    def manifest_moved(self, tenant_id: str, surface: str, at: datetime | None) -> None:
        """Since when a surface's manifest is current; None: it has none."""
        self._set(MANIFEST_AGE, math.nan if at is None else at.timestamp(), tenant_id, surface)

    def restored(self, tenant_id: str) -> None:
        """The database was restored."""
        self._count(RESTORED, tenant_id)

    def listening(self, *, healthy: bool) -> None:
        """Changes are heard of from now on, or no longer."""
        self._set(LISTENING, float(healthy))
        if healthy:
            self._count(LISTENED)

    def heartbeat_failed(self) -> None:
        """The replica's row could not be written."""
        self._count(HEARTBEATS_FAILED)

    def exposition(self) -> bytes:
        """All numbers of all workers in the Prometheus text format."""
        return expose(DEFINITIONS, self._readings())

    def close(self) -> None:
        """Leave the numbers to the next worker."""
        self._values.release()
        self._slots.close()

    def _readings(self) -> Iterator[Reading]:
        now = time.time()
        for reading in self._slots.readings():
            if reading.series.name in (STALENESS.name, MANIFEST_AGE.name):
                # Stored as a time, so that it grows when nobody is left to update it.
                yield reading._replace(values=(_age(now, reading.values[0]),))
            else:
                yield reading
        yield Reading(self._slots.worker, True, Series("counter", SPILLED.name, (), 1), (self._slots.spilled,))

    def _count(self, metric: Definition, label: str = "", count: int = 1) -> None:
        key = (metric.name, label)
        slot = self._counters.get(key)
        if slot is None:
            slot = self._counters[key] = self._slot(metric, *([label] if metric.labels else []))
        self._values[slot] += count

    def _set(self, metric: Definition, value: float, *labels: str) -> None:
        slot = self._slot(metric, *labels)
        if slot >= SPILL:
            self._values[slot] = value
        else:
            self._values[0] += 1.0

    def _slot(self, metric: Definition, *labels: str) -> int:
        width = len(metric.buckets) + 2 if metric.buckets else 1
        return self._slots.slot(Series(metric.kind, metric.name, labels, width))


def _age(now: float, at: float) -> float:
    return at if math.isnan(at) else max(0.0, now - at)
