"""The receipt: who has given evidence, when, and what is said when it cannot be had."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recsys.control import converge as module
from recsys.control.converge import converge
from recsys.domain.replica import ReplicaReport, SyncedTenant
from tests.unit.serving.fake_registry import FakeRegistry, identity


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


async def says(registry: FakeRegistry, replica_id: str, revision: int | None, incompatible: str | None = None) -> None:
    said = SyncedTenant(revision=revision, data_revision=1, invalidations=0, incompatible=incompatible)
    await registry.write(identity(replica_id), ReplicaReport(synced_through=registry.now, tenants={"t": said}))


async def test_without_replicas_there_is_nobody_to_wait_for(registry: FakeRegistry) -> None:
    receipt = await converge(registry, "t", revision=3)
    assert (receipt.converged, receipt.replicas, receipt.reason) == (True, [], None)


async def test_each_replica_is_told_with_the_time_at_which_its_evidence_was_seen(registry: FakeRegistry) -> None:
    await says(registry, "quick", 3)
    await says(registry, "slow", 2)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            said = SyncedTenant(revision=3, data_revision=1, invalidations=0)
            row = registry.rows["slow"]
            registry.rows["slow"] = type(row)(
                id="slow", host="here", pid=2, code_version="1", started_at=row.started_at,
                heartbeat_at=registry.now, synced_through=None, tenants={"t": said},
            )  # fmt: skip

    registry.on_roster = look
    receipt = await converge(registry, "t", revision=3)

    took = {each.id: each.took_ms for each in receipt.replicas}
    assert receipt.converged
    assert took["quick"] is not None
    assert took["slow"] is not None
    assert took["quick"] < took["slow"] <= receipt.waited_ms
    assert registry.nudged == []


async def test_the_laggard_and_the_one_that_cannot_read_are_named_when_time_is_over(registry: FakeRegistry) -> None:
    await says(registry, "good", 3)
    await says(registry, "late", 2)
    await says(registry, "old", 3, incompatible="config")

    receipt = await converge(registry, "t", revision=3, cap_s=0.2)

    found = {each.id: (each.status, each.revision, each.took_ms is None) for each in receipt.replicas}
    assert found == {
        "good": ("converged", 3, False),
        "late": ("behind", 2, True),
        "old": ("incompatible", 3, True),
    }
    assert not receipt.converged
    assert receipt.waited_ms >= 200
    assert registry.nudged == ["t"], "told again, once"


async def test_nobody_waits_for_one_that_has_read_it_and_cannot_serve_it(registry: FakeRegistry) -> None:
    await says(registry, "good", 3)
    await says(registry, "old", 3, incompatible="config")

    receipt = await converge(registry, "t", revision=3)

    assert (receipt.converged, {each.id: each.status for each in receipt.replicas}["old"]) == (False, "incompatible")
    assert receipt.waited_ms < 100


async def test_a_poll_before_the_commit_is_no_evidence_and_one_after_it_is(registry: FakeRegistry) -> None:
    await registry.write(identity("r"), ReplicaReport(synced_through=registry.now, tenants={}))
    assert not (await converge(registry, "t", revision=3, cap_s=0.02)).converged

    later = registry.now + timedelta(minutes=1)
    await registry.write(identity("r"), ReplicaReport(synced_through=later, tenants={}))
    assert (await converge(registry, "t", revision=3)).converged


async def test_who_waits_for_longer_gives_a_slow_database_longer_to_answer(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAP_S", 0.02)
    monkeypatch.setattr(module, "_LAST_LOOK_S", 0.02)
    await says(registry, "good", 3)
    registry.slow_s = 0.1
    assert (await converge(registry, "t", revision=3, cap_s=5)).converged


async def test_a_database_that_goes_or_hangs_is_the_reason(registry: FakeRegistry) -> None:
    await says(registry, "late", 2)
    registry.on_roster = lambda: setattr(registry, "gone", True)
    lost = await converge(registry, "t", revision=3)
    assert (lost.converged, lost.reason) == (False, module.GONE)
    assert [each.status for each in lost.replicas] == ["behind"], "what was seen is told"

    registry.gone, registry.hangs = False, True
    hung = await converge(registry, "t", revision=3, cap_s=0.05)
    assert (hung.converged, hung.reason) == (False, module.GONE)
    assert hung.waited_ms < 2_000
