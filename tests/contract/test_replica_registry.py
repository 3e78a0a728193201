"""One row per replica, on the database's clock; and the invalidations that wait for all of them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from recsys.control.invalidate import invalidate
from recsys.domain.access import Actor
from recsys.domain.ports import OpenInvalidation
from recsys.domain.replica import ReplicaIdentity, ReplicaReport, SyncedTenant
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database
from recsys.storage.replica_registry import SqlReplicaRegistry
from recsys.storage.serving_store import SqlServingStore
from tests.support import shell
from tests.support.documents import config, put

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NOTHING = ReplicaReport(synced_through=None, tenants={})


async def by_hand(url: str, *statements: str) -> list[Sequence[Any]]:
    return await asyncio.to_thread(shell.by_hand, url, *statements)


def identity(replica_id: str, pid: int = 7) -> ReplicaIdentity:
    return ReplicaIdentity(id=replica_id, host="here", pid=pid, code_version="1")


async def test_a_row_says_what_was_reported_and_a_heartbeat_keeps_its_start(database: Database) -> None:
    registry = SqlReplicaRegistry(database)
    assert (await registry.roster()).replicas == []
    await registry.write(identity(ONE), NOTHING)
    first = (await registry.roster()).replicas[0]
    synced = {"t": SyncedTenant(revision=3, data_revision=None, invalidations=1, incompatible="config")}
    await registry.write(identity(ONE), ReplicaReport(synced_through=first.heartbeat_at, tenants=synced))

    roster = await registry.roster()

    (row,) = roster.replicas
    assert (row.id, row.host, row.pid, row.code_version) == (ONE, "here", 7, "1")
    assert row.tenants == synced
    assert row.synced_through == first.heartbeat_at
    assert row.started_at == first.started_at
    assert first.heartbeat_at < row.heartbeat_at < roster.read_at


async def test_one_whose_lease_ran_out_is_gone_and_removed_by_whoever_notices(
    database: Database, database_url: str
) -> None:
    registry = SqlReplicaRegistry(database)
    for number, replica_id in enumerate((ONE, TWO)):
        await registry.write(identity(replica_id, number), NOTHING)
    heartbeat = (await registry.roster()).replicas[0].heartbeat_at
    await set_heartbeat(database_url, ONE, heartbeat - timedelta(seconds=46))
    await set_heartbeat(database_url, TWO, heartbeat - timedelta(seconds=40))

    assert [each.id for each in (await registry.roster()).replicas] == [TWO]
    await registry.remove([])
    assert await by_hand(database_url, "select cast(id as text) from replicas") == [(TWO,)]
    await registry.remove([TWO])
    assert await by_hand(database_url, "select id from replicas") == []


async def set_heartbeat(url: str, replica_id: str, at: datetime) -> None:
    moment = at.strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00" if url.startswith("postgresql") else "")
    await by_hand(url, f"update replicas set heartbeat_at = '{moment}' where id = '{replica_id}'")


async def test_what_is_read_after_a_commit_is_read_at_a_later_time(
    database: Database, store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    """The sentence that one row per replica stands on: an overview has every commit before its ``read_at``."""
    registry = SqlReplicaRegistry(database)
    for number in range(1, 20):
        before = await serving_store.overview()
        await put(store, actor, tenant, config(number))
        committed_by = (await registry.roster()).read_at
        after = await serving_store.overview()
        assert before.read_at is not None
        assert after.read_at is not None
        assert before.read_at < committed_by < after.read_at
        assert after.heads[0].tenant.revision == number


async def test_an_invalidation_is_open_until_it_is_closed(
    database: Database, store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    registry = SqlReplicaRegistry(database)
    asked = await invalidate(store, actor, tenant.id, ["config"], None)
    open_one = OpenInvalidation(event_id=asked.event_id, tenant_id=tenant.id, number=1)
    assert await registry.open_invalidations() == [open_one]

    await registry.close_invalidation(asked.event_id)
    first = await by_hand(database_url, "select status, applied_at from cache_invalidation_events")
    await registry.close_invalidation(asked.event_id)

    assert await registry.open_invalidations() == []
    assert first == await by_hand(database_url, "select status, applied_at from cache_invalidation_events")
    assert first[0][0] == "applied"
    assert first[0][1] is not None


async def test_a_heartbeat_moves_nothing_that_replicas_follow(
    database: Database, serving_store: SqlServingStore, tenant: Tenant
) -> None:
    """Else the replicas of an SQLite file, which see every commit to it, would keep each other busy for ever."""
    before = await serving_store.overview()
    await SqlReplicaRegistry(database).write(identity(ONE), NOTHING)
    after = await serving_store.overview()

    assert (after.heads, after.keys) == (before.heads, before.keys)
    assert after.heads[0].tenant.id == tenant.id
