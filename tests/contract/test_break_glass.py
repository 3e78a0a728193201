"""With the service down an operator moves a pointer by hand, and the database itself records it."""

import asyncio
import json

import pytest

from recsys.control.manage_tenants import create_tenant
from recsys.control.read_audit import read_audit
from recsys.control.read_document import read_document
from recsys.control.read_history import read_history
from recsys.domain.access import Actor
from recsys.domain.document import DocumentRef
from recsys.domain.errors import ConfigNotFound
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from tests.support.clock import FakeClock
from tests.support.documents import CONFIG, HOME, RULES, config, manifest, put, version_of
from tests.support.shell import by_hand

TABLES = {
    CONFIG: ("tenant_configs_current", "tenant_config_versions", "config_version_id"),
    RULES: ("tenant_rules_current", "tenant_rule_versions", "rules_version_id"),
    HOME: ("tenant_manifests_current", "tenant_manifest_versions", "manifest_version_id"),
}
DOCUMENTS = {
    CONFIG: [config(1), config(2)],
    RULES: [b"[]", b'{"rules":[]}'],
    HOME: [manifest("a"), manifest("b")],
}


def move(ref: DocumentRef, tenant_id: str, etag: str) -> str:
    """The statement of the runbook."""
    current, versions, version_id = TABLES[ref]
    return (
        f"update {current} set {version_id} = "
        f"(select id from {versions} where etag = '{etag}' and tenant_id = '{tenant_id}'), "
        f"updated_by_sub = 'break-glass', updated_at = now() where tenant_id = '{tenant_id}'"
    )


async def by_hand_async(url: str, *statements: str) -> None:
    await asyncio.to_thread(by_hand, url, *statements)


@pytest.mark.parametrize("ref", TABLES, ids=str)
async def test_a_pointer_moved_by_hand_is_recorded_like_any_change(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str, ref: DocumentRef
) -> None:
    old, new = [version_of(await put(store, actor, tenant, data, ref=ref)) for data in DOCUMENTS[ref]]

    await by_hand_async(database_url, move(ref, tenant.id, old))

    pointer = await read_document(store, tenant.id, ref)
    assert (pointer.version.etag, pointer.revision, pointer.updated_by_sub) == (old, 3, "break-glass")
    newest, before, _ = await read_history(store, tenant.id, 10, None)
    assert (newest.revision, newest.actor_type) == (3, "break-glass")
    assert (newest.pointers.of(ref), before.pointers.of(ref)) == (old, new)
    assert newest.occurred_at >= before.occurred_at
    audit = (await read_audit(store, tenant.id, 10, None))[0]
    assert (audit.action, audit.actor_type, audit.revision) == (f"{ref.kind_name}.update", "break-glass", 3)
    assert audit.before_state is not None
    assert audit.after_state is not None
    assert json.loads(bytes(audit.before_state)) == json.loads(DOCUMENTS[ref][1])
    assert json.loads(bytes(audit.after_state)) == json.loads(DOCUMENTS[ref][0])
    extra = json.loads(bytes(audit.extra))
    assert (extra["before_version"], extra["after_version"]) == (new, old)
    assert (await store_tenant(store, tenant)).revision == 3


async def test_a_statement_without_a_name_is_not_blamed_on_whoever_moved_the_pointer_last(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    old, _ = [version_of(await put(store, actor, tenant, data)) for data in DOCUMENTS[CONFIG]]

    await by_hand_async(database_url, move(CONFIG, tenant.id, old).replace(_SIGNATURE, " "))

    newest = (await read_history(store, tenant.id, 1, None))[0]
    assert (newest.actor_sub, newest.actor_type, newest.pointers.config) == ("break-glass", "break-glass", old)


_SIGNATURE = ", updated_by_sub = 'break-glass', updated_at = now() "


async def test_the_service_goes_on_from_there(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    old = version_of(await put(store, actor, tenant, config(1)))
    await put(store, actor, tenant, config(2))
    await put(store, actor, tenant, manifest("a"), ref=HOME)
    await by_hand_async(database_url, move(CONFIG, tenant.id, old))

    await put(store, actor, tenant, config(3))

    entries = await read_history(store, tenant.id, 10, None)
    assert [entry.revision for entry in entries] == [5, 4, 3, 2, 1]
    assert entries[0].pointers.manifests == entries[1].pointers.manifests != {}
    assert len(await read_audit(store, tenant.id, 50, None)) == 6


async def test_a_statement_that_moves_nothing_leaves_no_trace(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    version = version_of(await put(store, actor, tenant, config(1)))

    await by_hand_async(database_url, move(CONFIG, tenant.id, version))

    assert len(await read_history(store, tenant.id, 10, None)) == 1
    assert len(await read_audit(store, tenant.id, 10, None)) == 2


async def test_another_tenants_version_is_refused(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    other = await create_tenant(store, clock, actor, "other")
    foreign = version_of(await put(store, actor, other, config(9)))
    mine = version_of(await put(store, actor, tenant, config(1)))
    statement = move(CONFIG, tenant.id, foreign).replace(
        f"and tenant_id = '{tenant.id}'), ", f"and tenant_id = '{other.id}'), "
    )

    with pytest.raises(Exception, match="no version of"):
        await by_hand_async(database_url, statement)

    assert (await read_document(store, tenant.id, CONFIG)).version.etag == mine
    assert len(await read_history(store, tenant.id, 10, None)) == 1


async def test_a_pointer_inserted_and_deleted_by_hand_is_recorded_too(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    version = version_of(await put(store, actor, tenant, config(1)))
    await by_hand_async(database_url, f"delete from tenant_configs_current where tenant_id = '{tenant.id}'")
    with pytest.raises(ConfigNotFound):
        await read_document(store, tenant.id, CONFIG)
    cleared = (await read_history(store, tenant.id, 1, None))[0]
    assert (cleared.revision, cleared.pointers.config, cleared.actor_type) == (2, None, "break-glass")

    await by_hand_async(
        database_url,
        "insert into tenant_configs_current (tenant_id, config_version_id, updated_by_sub, updated_at) "
        f"select tenant_id, id, 'ops', now() from tenant_config_versions where etag = '{version}'",
    )

    pointer = await read_document(store, tenant.id, CONFIG)
    assert (pointer.version.etag, pointer.revision) == (version, 3)
    assert (await read_history(store, tenant.id, 1, None))[0].pointers.config == version


async def test_a_pointer_cannot_be_given_to_another_tenant(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    other = await create_tenant(store, clock, actor, "other")
    await put(store, actor, tenant, config(1))

    with pytest.raises(Exception, match=r"pointer belongs|no version of"):
        await by_hand_async(database_url, f"update tenant_configs_current set tenant_id = '{other.id}'")


@pytest.mark.parametrize(
    "table",
    [
        "tenant_config_versions",
        "tenant_rule_versions",
        "tenant_manifest_versions",
        "tenant_revisions",
        "audit_log",
    ],
)
async def test_history_is_append_only_whoever_asks(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str, table: str
) -> None:
    for ref, (data, _) in DOCUMENTS.items():
        await put(store, actor, tenant, data, ref=ref)
    statements = [f"update {table} set tenant_id = tenant_id", f"delete from {table}"]
    if database_url.startswith("sqlite"):
        statements += [
            f"insert or replace into {table} select * from {table}",
            f"replace into {table} select * from {table}",
        ]
    else:
        statements += [f"truncate {table} cascade"]

    for statement in statements:
        with pytest.raises(Exception, match="append-only"):
            await by_hand_async(database_url, statement)


async def test_the_history_views_say_what_was_current_when(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    one = version_of(await put(store, actor, tenant, config(1)))
    two = version_of(await put(store, actor, tenant, config(2)))
    await put(store, actor, tenant, b"[]", ref=RULES)
    await put(store, actor, tenant, config(1))

    rows = await asyncio.to_thread(
        by_hand,
        database_url,
        "select revision, etag, config_version_id is not null, current_until is null, actor_sub "
        f"from tenant_config_history where tenant_id = '{tenant.id}' order by revision",
    )

    assert [(row[0], row[1]) for row in rows] == [(1, one), (2, two), (4, one)]
    assert [bool(row[2]) for row in rows] == [True, True, True]
    assert rows[-1][4] == "ann"


async def store_tenant(store: SqlControlStore, tenant: Tenant) -> Tenant:
    async with store.reading() as reader:
        return await reader.tenant(tenant.id)
