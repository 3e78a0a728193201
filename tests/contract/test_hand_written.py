"""What an operator writes by hand is taken when the service can read it, and refused with the reason when not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from recsys.control.manage_tenants import create_tenant
from recsys.control.read_audit import read_audit
from recsys.control.read_document import read_document
from recsys.domain.access import Actor
from recsys.domain.document import DocumentRef
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from tests.support.clock import FakeClock
from tests.support.databases import SqliteTemplate
from tests.support.documents import CONFIG, HOME, config, manifest, put
from tests.support.shell import by_hand

TIMES = ["CURRENT_TIMESTAMP", "datetime('now')", "'2026-02-28 23:59:59.999999'", "'2026-02-28 23:59:59.5'"]
NO_TIMES = [
    "'now()'", "unixepoch()", "strftime('%s', 'now')", "date('now')", "'2026-11-23T15:00:00Z'", "'2026-11-23 15:00'",
    "'2026-02-30 00:00:00'", "'2026-11-23 15:00:00+01'", "'2026-11-23 15:00:00.1234567'", "''", "1.5", "x'00'",
]  # fmt: skip


def new_tenant(tenant_id: str, created_at: str = "CURRENT_TIMESTAMP") -> str:
    columns = "id, external_id, name, status, frozen, require_if_match, revision, data_revision, invalidations"
    values = f"'{tenant_id}', 'by-hand', 'By hand', 'active', false, false, 0, 0, 0, {created_at}"
    return f"insert into tenants ({columns}, created_at) values ({values})"


def new_version(tenant: Tenant, text: str) -> str:
    columns = "id, tenant_id, config, etag, created_at, created_by_sub"
    values = f"'{uuid4()}', '{tenant.id}', '{text}', '{uuid4().hex * 2}', CURRENT_TIMESTAMP, 'ann'"
    return f"insert into tenant_config_versions ({columns}) values ({values})"


async def hand(url: str, *statements: str) -> None:
    await asyncio.to_thread(by_hand, url, *statements)


@pytest.fixture
async def on_sqlite(
    sqlite_template: SqliteTemplate, clock: FakeClock, actor: Actor
) -> AsyncIterator[tuple[str, SqlControlStore, Tenant]]:
    """A database whose columns take anything, its store and a tenant with two configs."""
    url = sqlite_template.fresh()
    database = open_database(url)
    store = SqlControlStore(database, clock)
    tenant = await create_tenant(store, clock, actor, "demo")
    for number in (1, 2):
        await put(store, actor, tenant, config(number))
    yield url, store, tenant
    await database.close()


@pytest.mark.parametrize("moment", TIMES)
async def test_times_of_every_usual_form_are_read(on_sqlite: tuple[str, SqlControlStore, Tenant], moment: str) -> None:
    url, store, tenant = on_sqlite
    move = (
        "update tenant_configs_current set updated_by_sub = 'ann', config_version_id = "
        f"(select id from tenant_config_versions order by created_at limit 1), updated_at = {moment}"
    )
    await hand(url, new_tenant(str(uuid4()), moment), move)

    async with store.reading() as reader:
        assert {each.external_id for each in await reader.tenants(10, None)} == {"demo", "by-hand"}
    pointer = await read_document(store, tenant.id, CONFIG)
    assert (pointer.revision, pointer.updated_by_sub) == (3, "ann")
    assert abs((pointer.updated_at - datetime.now(UTC)).days) < 3_650


@pytest.mark.parametrize("moment", NO_TIMES)
async def test_what_is_no_time_is_refused(on_sqlite: tuple[str, SqlControlStore, Tenant], moment: str) -> None:
    url, *_ = on_sqlite
    for statement in (new_tenant(str(uuid4()), moment), f"update tenant_configs_current set updated_at = {moment}"):
        with pytest.raises(sqlite3.IntegrityError, match="is a time in UTC, such as CURRENT_TIMESTAMP gives"):
            await hand(url, statement)


@pytest.mark.parametrize("tenant_id", ["5A5A5A5A-AAAA-4AAA-8AAA-AAAAAAAAAAAA", "handmade", "5", ""])
async def test_a_tenant_is_named_by_a_uuid_in_lower_case(sqlite_template: SqliteTemplate, tenant_id: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="UUID in lower-case"):
        await hand(sqlite_template.fresh(), new_tenant(tenant_id))


@pytest.mark.parametrize("text", ['{"weights": {"pop": 2}', "", "weights: 2", "{} {}"])
async def test_a_version_that_is_no_json_is_refused(tenant: Tenant, database_url: str, text: str) -> None:
    await hand(database_url, new_version(tenant, "{}"))
    with pytest.raises(Exception, match=r"not JSON|invalid input syntax for type json"):
        await hand(database_url, new_version(tenant, text))


async def test_a_manifest_of_another_surface_is_refused(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    """Which is what a statement does that forgets to name the surface."""
    other = DocumentRef("manifest", "pdp")
    await put(store, actor, tenant, manifest("a", surface="pdp"), ref=other)
    for name in ("a", "b"):
        await put(store, actor, tenant, manifest(name), ref=HOME)
    to_a = (
        "update tenant_manifests_current set updated_at = now(), manifest_version_id = (select id from "
        "tenant_manifest_versions where surface = 'home' order by created_at limit 1)"
    )
    with pytest.raises(Exception, match=r"version of (another )?surface"):
        await hand(database_url, to_a)
    assert (await read_document(store, tenant.id, HOME)).revision == 3
    await hand(database_url, f"{to_a} where surface = 'home'")
    assert (await read_document(store, tenant.id, HOME)).revision == 4
    assert (await read_document(store, tenant.id, other)).revision == 1


async def test_an_audit_entry_that_is_no_json_stays_readable(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    columns = "occurred_at, tenant_id, actor_sub, actor_type, action, entity_type, entity_id, before_state, extra"
    values = f"now(), '{tenant.id}', 'ann', 'user', 'note', 'tenant', 'demo', 'not {{ JSON', '{{}}'"
    await hand(database_url, f"insert into audit_log ({columns}) values ({values})")

    newest, _ = await read_audit(store, tenant.id, 2, None)
    assert bytes(newest.before_state or b"") == b'"not { JSON"'
