"""A replica makes itself known, and looks after those that cannot any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from recsys.domain.ports import OpenInvalidation
from recsys.domain.replica import ReplicaReport, SyncedTenant
from recsys.serving import presence as module
from recsys.serving.presence import Presence
from tests.unit.serving.fake_registry import FakeClaims, FakeRegistry, identity


class Failures:
    count = 0

    def heartbeat_failed(self) -> None:
        self.count += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEARTBEAT_S", 0.02)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@asynccontextmanager
async def present(
    registry: FakeRegistry, seen: Failures | None = None, claims: FakeClaims | None = None
) -> AsyncIterator[Presence]:
    presence = Presence(identity("me"), registry, seen or Failures(), claims)
    await presence.start(lambda: ReplicaReport(synced_through=registry.now, tenants={}))
    try:
        yield presence
    finally:
        await presence.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.002)


async def test_the_row_is_there_from_the_start_kept_alive_and_taken_away(registry: FakeRegistry) -> None:
    claims = FakeClaims()
    async with present(registry, claims=claims):
        assert list(registry.rows) == ["me"]
        assert claims.held == "me"
        await until(lambda: registry.writes > 3)
    assert registry.rows == {}
    assert claims.held is None


async def test_what_moved_is_written_at_once(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEARTBEAT_S", 60)
    async with present(registry) as presence:
        for _ in range(5):
            presence.moved()
        await until(lambda: registry.writes == 2)
        await asyncio.sleep(0.01)
        assert registry.writes == 2, "five moves in one moment are one row"


async def test_a_database_that_is_gone_is_counted_and_harms_nothing(registry: FakeRegistry) -> None:
    seen = Failures()
    registry.gone = True
    async with present(registry, seen):
        await until(lambda: seen.count > 2)
        registry.gone = False
        await until(lambda: "me" in registry.rows)
        registry.gone = True


async def test_the_row_of_a_dead_sibling_is_deleted_and_only_then_forgotten(registry: FakeRegistry) -> None:
    await registry.write(identity("dead"), ReplicaReport(synced_through=None, tenants={}))
    claims = FakeClaims("dead")
    async with present(registry, claims=claims):
        await until(lambda: not claims.dead)
        assert list(registry.rows) == ["me"]


async def test_an_invalidation_is_closed_once_the_last_replica_has_followed_it(registry: FakeRegistry) -> None:
    async def other(number: int) -> None:
        said = SyncedTenant(revision=1, data_revision=1, invalidations=number)
        await registry.write(identity("other"), ReplicaReport(synced_through=registry.now, tenants={"t": said}))

    registry.open = [OpenInvalidation(event_id=4, tenant_id="t", number=2)]
    await other(1)
    async with present(registry):
        before = registry.writes
        await until(lambda: registry.writes > before + 4)
        assert registry.closed == []
        await other(2)
        await until(lambda: registry.closed == [4])
