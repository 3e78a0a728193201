"""Counting over several workers, and over a worker's death."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recsys.domain.recommend import Notice
from recsys.service.metric_slots import Series, Slots
from recsys.service.metrics import Metrics


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    made = Metrics(tmp_path)
    yield made
    made.close()


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def requests(metrics: Metrics, endpoint: str = "POST /v1/recommend", status: str = "200") -> float:
    return samples(metrics).get(("recsys_requests_total", (("endpoint", endpoint), ("status", status))), 0.0)


def test_requests_and_latencies(metrics: Metrics) -> None:
    for seconds in (0.00005, 0.0003, 0.0003, 99.0):
        metrics.request("POST /v1/recommend", 200, seconds)
    found = samples(metrics)
    assert requests(metrics) == 4
    name, label = "recsys_request_duration_seconds", ("endpoint", "POST /v1/recommend")
    assert found[f"{name}_bucket", (label, ("le", "0.0001"))] == 1
    assert found[f"{name}_bucket", (label, ("le", "0.0005"))] == 3
    assert found[f"{name}_bucket", (label, ("le", "10.0"))] == 3
    assert found[f"{name}_bucket", (label, ("le", "+Inf"))] == found[f"{name}_count", (label,)] == 4
    assert found[f"{name}_sum", (label,)] == pytest.approx(99.00065)


def test_empty_and_short_answers_and_warnings(metrics: Metrics) -> None:
    metrics.answer("t", 0, 20, [Notice("SIGNAL_UNAVAILABLE", "x")])
    metrics.answer("t", 19, 20, [])
    metrics.answer("t", 20, 20, [])
    found = samples(metrics)
    assert found["recsys_empty_answers_total", (("tenant", "t"),)] == 1
    assert found["recsys_short_answers_total", (("tenant", "t"),)] == 1
    assert found["recsys_answer_warnings_total", (("code", "SIGNAL_UNAVAILABLE"),)] == 1


def test_what_the_replica_tells(metrics: Metrics) -> None:
    metrics.polled()
    metrics.serving("t", 7, 3)
    metrics.incompatible("t", 1)
    metrics.restored("t")
    found = samples(metrics)
    worker = ("worker", "0")
    assert found["recsys_revision", (("tenant", "t"), worker)] == 7
    assert found["recsys_data_revision", (("tenant", "t"), worker)] == 3
    assert found["recsys_incompatible_documents", (("tenant", "t"), worker)] == 1
    assert found["recsys_database_restored_total", (("tenant", "t"),)] == 1
    assert 0 <= found["recsys_control_plane_staleness_seconds", (worker,)] < 5


def test_a_copy_that_is_served_shows_its_age_until_the_control_plane_is_read(metrics: Metrics) -> None:
    staleness = ("recsys_control_plane_staleness_seconds", (("worker", "0"),))
    metrics.copied(datetime.now(UTC) - timedelta(hours=1))
    metrics.copy_refused()
    metrics.copy_failed()
    found = samples(metrics)
    assert 3_600 <= found[staleness] < 3_605
    assert found["recsys_last_good_refused_total", ()] == 1
    assert found["recsys_last_good_errors_total", ()] == 1
    metrics.polled()
    assert samples(metrics)[staleness] < 5


def test_what_the_log_tells(metrics: Metrics) -> None:
    metrics.exposures_written(64)
    metrics.exposures_lost(3)
    metrics.exposure_refused()
    metrics.log_failed()
    metrics.queued(17)
    metrics.events(accepted=998, duplicates=2, rejected=0)
    found = samples(metrics)
    assert found["recsys_exposures_written_total", ()] == 64
    assert found["recsys_exposures_dropped_total", (("reason", "write_failed"),)] == 3
    assert found["recsys_exposures_dropped_total", (("reason", "queue_full"),)] == 1
    assert found["recsys_log_errors_total", ()] == 1
    assert found["recsys_log_queue", (("worker", "0"),)] == 17
    assert found["recsys_events_total", (("verdict", "accepted"),)] == 998
    assert found["recsys_events_total", (("verdict", "duplicate"),)] == 2
    assert ("recsys_events_total", (("verdict", "rejected"),)) not in found


def test_counters_are_summed_and_gauges_stand_side_by_side(metrics: Metrics, tmp_path: Path) -> None:
    other = Metrics(tmp_path)
    metrics.request("POST /v1/recommend", 200, 0.1)
    metrics.serving("t", 7, 3)
    other.request("POST /v1/recommend", 200, 0.1)
    other.request("POST /v1/recommend", 404, 0.1)
    other.serving("t", 8, 3)
    for each in (metrics, other):
        assert requests(each) == 2
        assert requests(each, status="404") == 1
        assert samples(each)["recsys_revision", (("tenant", "t"), ("worker", "0"))] == 7
        assert samples(each)["recsys_revision", (("tenant", "t"), ("worker", "1"))] == 8
    other.close()


def count_and_wait(directory: Path, times: int, ready: object) -> None:
    metrics = Metrics(directory)
    for _ in range(times):
        metrics.request("POST /v1/recommend", 200, 0.1)
    metrics.serving("t", 5, 5)
    ready.set()  # type: ignore[attr-defined]
    signal.pause()


def test_a_dead_worker_s_counters_stay_and_its_gauges_go(metrics: Metrics, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gauge = ("recsys_revision", (("tenant", "t"), ("worker", "1")))
    for generation in (1, 2, 3):
        ready = context.Event()
        worker = context.Process(target=count_and_wait, args=(tmp_path, 10, ready))
        worker.start()
        assert ready.wait(60)
        assert requests(metrics) == 10 * generation
        assert samples(metrics)[gauge] == 5
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        assert requests(metrics) == 10 * generation, "a counter went backwards"
        assert gauge not in samples(metrics)
    assert len(list(tmp_path.glob("*.slots"))) == 2, "a new worker takes the file of a dead one"


def test_the_next_worker_goes_on_counting_without_the_old_gauges(tmp_path: Path) -> None:
    first = Metrics(tmp_path)
    first.request("x", 200, 0.1)
    first.serving("t", 7, 3)
    first.close()
    with (tmp_path / "worker-0.keys").open("ab") as keys:
        keys.write(b'["counter","recsys_reque')  # died while it wrote
    second = Metrics(tmp_path)
    second.request("x", 200, 0.1)
    second.request("y", 200, 0.1)
    assert requests(second, "x") == 2
    assert requests(second, "y") == 1
    assert not [name for name, _ in samples(second) if name == "recsys_revision"]
    second.close()


def test_too_many_series_are_counted_as_spilled(tmp_path: Path) -> None:
    slots = Slots(tmp_path, capacity=64)
    fitting = [slots.slot(Series("counter", "c", (str(n),), 1)) for n in range(32)]
    assert len(set(fitting)) == 32
    assert slots.slot(Series("histogram", "h", (), 18)) == 0
    slots.values[0] += 1
    assert slots.spilled == 1
    assert all(reading.values == (0.0,) for reading in slots.readings())
    slots.close()


@pytest.mark.parametrize("taken", [None, 5])
def test_what_a_full_disk_does_not_take_is_counted_as_spilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int | None
) -> None:
    """Whether it takes nothing of a line or a part of it: the next one is read."""
    metrics, write = Metrics(tmp_path), os.write

    def full(descriptor: int, line: bytes) -> int:
        if taken is None:
            raise OSError("No space left on device")
        return write(descriptor, line[:taken])

    metrics.request("GET /healthz", 200, 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        metrics.request("POST /v1/recommend", 200, 0.1)
    metrics.request("POST /v1/recommend", 400, 0.1)
    assert samples(metrics)["recsys_metrics_spilled_total", ()] > 0
    metrics.close()
    again = Metrics(tmp_path)
    assert requests(again, "GET /healthz") == 1
    assert requests(again, status="400") == 1
    again.close()


def test_label_values_may_be_anything(metrics: Metrics) -> None:
    metrics.answer('"\n\\é', 0, 1, [])
    assert samples(metrics)["recsys_empty_answers_total", (("tenant", '"\n\\é'),)] == 1
