"""What an operator's statement must not be able to do, by malice or by accident."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import asyncpg
import pytest

from recsys.control.manage_tenants import create_tenant
from recsys.control.read_audit import read_audit
from recsys.control.read_document import read_document
from recsys.control.read_history import read_history
from recsys.domain.access import Actor
from recsys.domain.errors import NotReady
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock
from tests.support.databases import PostgresTemplate, SqliteTemplate
from tests.support.documents import CONFIG, config, put, version_of
from tests.support.shell import by_hand


async def version_ids(url: str) -> list[str]:
    rows = await asyncio.to_thread(by_hand, url, "select id from tenant_config_versions order by created_at")
    return [str(row[0]) for row in rows]


@pytest.mark.parametrize(
    "conflict", ["", "on conflict do nothing", "on conflict (tenant_id) do update set revision = 1"]
)
async def test_a_second_pointer_is_refused_before_the_ledger_hears_of_it(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str, conflict: str
) -> None:
    await put(store, actor, tenant, config(1))
    current = version_of(await put(store, actor, tenant, config(2)))
    old, _ = await version_ids(database_url)
    statement = (
        "insert into tenant_configs_current (tenant_id, config_version_id, updated_by_sub, updated_at) "
        f"values ('{tenant.id}', '{old}', 'ops', now()) {conflict}"
    )

    with pytest.raises(Exception, match="pointer already"):
        await asyncio.to_thread(by_hand, database_url, statement)

    assert (await read_history(store, tenant.id, 1, None))[0].pointers.config == current


async def test_revisions_cannot_be_turned_back(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    for pop in (1, 2, 3):
        await put(store, actor, tenant, config(pop))
    for statement in (
        "update tenants set revision = 1",
        "update tenants set data_revision = -1",
        "delete from tenants",
    ):
        with pytest.raises(Exception, match=r"never (lowered|deleted)|violates foreign key"):
            await asyncio.to_thread(by_hand, database_url, statement)
    with contextlib.suppress(sqlite3.IntegrityError):  # SQLite refuses it, PostgreSQL puts it right
        await asyncio.to_thread(by_hand, database_url, "update tenant_configs_current set revision = 1")

    assert (await read_document(store, tenant.id, CONFIG)).revision == 3


@pytest.mark.parametrize("number", [-1, 0, 9223372036854775807])
async def test_the_audit_log_numbers_its_rows_itself(
    sqlite_template: SqliteTemplate, clock: FakeClock, actor: Actor, number: int
) -> None:
    url = sqlite_template.fresh()
    columns = "occurred_at, actor_sub, actor_type, action, entity_type, entity_id, extra"
    statement = (
        f"insert into audit_log (id, {columns}) values ({number}, CURRENT_TIMESTAMP, 'x', 'x', 'x', 'x', 'x', '{{}}')"
    )
    with pytest.raises(sqlite3.IntegrityError, match="numbers its rows"):
        await asyncio.to_thread(by_hand, url, statement)

    database = open_database(url)
    await create_tenant(SqlControlStore(database, clock), clock, actor, "demo")
    await database.close()


async def test_temporary_tables_do_not_catch_what_belongs_into_the_log(
    postgres_template: PostgresTemplate, clock: FakeClock, actor: Actor
) -> None:
    url = await asyncio.to_thread(postgres_template.fresh)
    database = open_database(url)
    store = SqlControlStore(database, clock)
    tenant = await create_tenant(store, clock, actor, "demo")
    await put(store, actor, tenant, config(1))
    await put(store, actor, tenant, config(2))
    old, _ = await version_ids(url)
    host, name = url.split("host=")[1], url.split("/")[3].split("?")[0]
    connection = await asyncpg.connect(host=host, user="postgres", database=name)
    for table in ("audit_log", "tenant_revisions", "tenants", "tenant_config_versions"):
        await connection.execute(f"create temp table {table} (like public.{table} including defaults)")
    await connection.execute(
        "update tenant_configs_current set config_version_id = $1, updated_by_sub = 'eve', updated_at = now()", old
    )
    await connection.close()

    newest = (await read_audit(store, tenant.id, 1, None))[0]
    assert (newest.actor_type, newest.actor_sub, newest.revision) == ("break-glass", "eve", 3)
    assert (await read_history(store, tenant.id, 1, None))[0].revision == 3
    await database.close()


async def test_a_replaced_sqlite_file_is_followed_and_a_missing_one_said(
    sqlite_template: SqliteTemplate, clock: FakeClock, actor: Actor, tmp_path: Path
) -> None:
    url = sqlite_template.fresh()
    file, backup = Path(url.removeprefix("sqlite:///")), tmp_path / "backup.db"
    database = open_database(url)
    store = SqlControlStore(database, clock)
    tenant = await create_tenant(store, clock, actor, "demo")
    with sqlite3.connect(file) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
    await put(store, actor, tenant, config(1))
    replica = SqlServingStore(database)
    (seen,) = (await replica.overview()).heads

    for leftover in (f"{file}-wal", f"{file}-shm"):
        Path(leftover).unlink(missing_ok=True)
    shutil.copyfile(backup, tmp_path / "new.db")
    os.replace(tmp_path / "new.db", file)  # noqa: PTH105 - what a restore does

    assert await read_history(store, tenant.id, 10, None) == []
    assert (await put(store, actor, tenant, config(2))).changed
    assert by_hand(url, "select count(*) from tenant_revisions") == [(1,)]
    (head,) = (await replica.overview()).heads
    assert head.tenant.revision == seen.tenant.revision
    assert head.moved_at != seen.moved_at
    file.unlink()
    with pytest.raises(NotReady, match="is gone"):
        await read_history(store, tenant.id, 10, None)
    await database.close()
