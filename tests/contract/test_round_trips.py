"""A change of a document costs few round trips, and none of what is saved is saved on safety."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import event

from recsys.control.manage_tenants import create_tenant
from recsys.control.read_document import read_document
from recsys.control.read_history import read_history
from recsys.domain.access import Actor
from recsys.domain.document import CanonicalDocument, DocumentRef, Draft
from recsys.domain.ports import Move
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database, open_database
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock
from tests.support.databases import PostgresTemplate
from tests.support.documents import CONFIG, HOME, RULES, config, manifest, put, version_of
from tests.support.shell import by_hand


@pytest.fixture
def postgresql(postgres_template: PostgresTemplate) -> str:
    return postgres_template.fresh()


@pytest.fixture
async def databases(postgresql: str) -> AsyncIterator[list[Database]]:
    """One PostgreSQL database, opened twice, as two processes would."""
    opened = [open_database(postgresql) for _ in range(2)]
    yield opened
    for each in opened:
        await each.close()


@pytest.fixture
def stores(databases: list[Database], clock: FakeClock) -> list[SqlControlStore]:
    return [SqlControlStore(each, clock) for each in databases]


@pytest.fixture
async def shared(stores: list[SqlControlStore], clock: FakeClock, actor: Actor) -> Tenant:
    return await create_tenant(stores[0], clock, actor, "demo")


def count(database: Database) -> list[str]:
    """Every statement from now on."""
    seen: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    return seen


DOCUMENTS = {
    CONFIG: (config(1), config(2)),
    RULES: (b"[]", b'{"rules":[]}'),
    HOME: (manifest("a"), manifest("b")),
}


@pytest.mark.parametrize("ref", DOCUMENTS, ids=str)
async def test_a_change_is_four_statements(
    databases: list[Database], stores: list[SqlControlStore], shared: Tenant, actor: Actor, ref: DocumentRef
) -> None:
    first, second = DOCUMENTS[ref]
    await put(stores[0], actor, shared, first, ref=ref)
    seen = count(databases[0])

    await put(stores[0], actor, shared, second, ref=ref)

    assert len(seen) == 4, seen
    assert "FOR NO KEY UPDATE" in seen[0]
    assert "INTO tenant_revisions" in seen[2]
    assert "INTO audit_log" in seen[3]


async def test_the_documents_of_a_tenant_are_one_statement(
    databases: list[Database], stores: list[SqlControlStore], shared: Tenant, actor: Actor
) -> None:
    versions = [
        version_of(await put(stores[0], actor, shared, data, ref=ref))
        for ref, data in ((CONFIG, config(1)), (RULES, b"[]"), (HOME, manifest("a")))
    ]
    seen = count(databases[1])

    found = await SqlServingStore(databases[1]).documents(shared.id)

    assert len(seen) == 1, seen
    assert [found.pointers.of(ref) for ref in (CONFIG, RULES, HOME)] == versions
    assert found.revision == 3


async def test_a_change_that_had_to_wait_builds_on_what_it_waited_for(
    stores: list[SqlControlStore], shared: Tenant, actor: Actor
) -> None:
    """It gets the row as it is when its turn comes; what else its statement read is as old as the wait."""
    first, second = stores
    rules = CanonicalDocument.read(b"[]")
    async with first.changing(shared.id, actor) as transaction:
        waiting = asyncio.create_task(put(second, actor, shared, config(1)))
        await asyncio.sleep(0.2)  # in line behind us, in the database
        draft = Draft(etag=rules.etag, text=rules.text)
        await transaction.move([Move(ref=RULES, before=None, after=draft)], action="rules.update", records=[])
    changed = await waiting

    newest, before = await read_history(first, shared.id, 10, None)

    assert (newest.revision, before.revision) == (2, 1)
    assert newest.pointers == before.pointers.moved(CONFIG, version_of(changed))
    assert newest.pointers.rules == rules.etag


async def test_connections_that_the_server_closed_are_replaced_without_an_error(
    postgresql: str, stores: list[SqlControlStore], shared: Tenant, actor: Actor
) -> None:
    store = stores[0]
    for number in range(3):
        await put(store, actor, shared, config(number))
        await asyncio.to_thread(by_hand, postgresql, HANG_UP)

        changed = await put(store, actor, shared, config(10 + number))
        await asyncio.to_thread(by_hand, postgresql, HANG_UP)

        assert (await store.tenant("demo")).revision == 2 * number + 2
        await asyncio.to_thread(by_hand, postgresql, HANG_UP)
        assert (await read_document(store, shared.id, CONFIG)).version.etag == version_of(changed)


HANG_UP = """
select pg_terminate_backend(pid) from pg_stat_activity
where pid <> pg_backend_pid() and datname = current_database()
"""
