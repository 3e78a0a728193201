"""Documents of many tenants are read by one statement, and what is wrong with one of them is its own affair."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from recsys.control.manage_tenants import create_tenant
from recsys.domain.access import Actor
from recsys.domain.errors import NotReady
from recsys.domain.ports import TenantDocuments
from recsys.domain.tenant import Tenant
from recsys.storage import documents as documents_module
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock
from tests.support.databases import PostgresTemplate, SqliteTemplate
from tests.support.documents import CONFIG, config, put
from tests.support.shell import by_hand

NAMES = ("one", "two", "three")
NO_GARBAGE = "tenant_configs_current_updated_at_updated"
GARBAGE = (
    ("update tenant_configs_current set updated_at = 'yesterday'", True),
    # What the driver says of this is what it says when the file is gone.
    ("update tenant_configs_current set updated_at = cast(x'ff' as text)", False),
)


@pytest.fixture
def postgresql(postgres_template: PostgresTemplate) -> str:
    return postgres_template.fresh()


@asynccontextmanager
async def stored(url: str, clock: FakeClock, actor: Actor) -> AsyncIterator[tuple[SqlServingStore, list[Tenant]]]:
    database = open_database(url)
    store = SqlControlStore(database, clock)
    try:
        tenants = [await create_tenant(store, clock, actor, name) for name in NAMES]
        for tenant in tenants:
            await put(store, actor, tenant, config(1))
        yield SqlServingStore(database), tenants
    finally:
        await database.close()


async def read_all(store: SqlServingStore, tenants: list[Tenant]) -> list[TenantDocuments | BaseException]:
    return await asyncio.gather(*(store.documents(tenant.id) for tenant in tenants), return_exceptions=True)


@pytest.mark.parametrize(("statement", "at_once"), GARBAGE, ids=["no time", "no text"])
async def test_rows_of_one_tenant_that_cannot_be_read_are_not_the_others_trouble(
    sqlite_template: SqliteTemplate, clock: FakeClock, actor: Actor, statement: str, at_once: bool
) -> None:
    """On SQLite, whose columns took anything that is written by hand before a trigger kept times readable."""
    url = sqlite_template.fresh()
    async with stored(url, clock, actor) as (store, tenants):
        good = f"update tenant_configs_current set updated_at = now() where tenant_id = '{tenants[1].id}'"
        by_hand(url, f"drop trigger {NO_GARBAGE}", f"{statement} where tenant_id = '{tenants[1].id}'")
        if not at_once:
            await read_all(store, tenants)
        for _ in range(2):
            one, two, three = await read_all(store, tenants)
            assert [isinstance(each, TenantDocuments) for each in (one, two, three)] == [True, False, True]
        by_hand(url, good)
        assert all(isinstance(each, TenantDocuments) for each in await read_all(store, tenants))


async def test_a_statement_that_never_ends_does_not_keep_anybody_waiting_for_long(
    postgresql: str, clock: FakeClock, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "_PATIENCE_S", 0.3)
    async with stored(postgresql, clock, actor) as (store, tenants):
        other = open_database(postgresql)
        async with other.write() as connection:
            await connection.exec_driver_sql("lock table tenant_configs_current in access exclusive mode")
            found = await asyncio.wait_for(read_all(store, tenants), 5)
            assert [type(each) for each in found] == [NotReady] * len(NAMES)
        await other.close()
        assert all(isinstance(each, TenantDocuments) for each in await read_all(store, tenants))


async def test_who_gives_up_takes_nothing_from_those_who_ask_for_the_same(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    await put(store, actor, tenant, config(1))
    impatient, patient = (asyncio.create_task(serving_store.documents(tenant.id)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await asyncio.wait_for(patient, 5)).texts == {CONFIG: '{"weights":{"pop":1}}'}
    assert impatient.cancelled()
