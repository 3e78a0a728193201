"""One suite, bound to every database by one fixture."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recsys.control.manage_tenants import create_tenant
from recsys.domain.access import Actor
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database, open_database
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock
from tests.support.desk import Blobs, Desk


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def actor() -> Actor:
    return Actor(sub="ann", actor_type="user", request_id="req-1", ip="127.0.0.1", user_agent="tests")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
def store(database: Database, clock: FakeClock) -> SqlControlStore:
    return SqlControlStore(database, clock)


@pytest.fixture
def serving_store(database: Database) -> SqlServingStore:
    return SqlServingStore(database)


@pytest.fixture
async def tenant(store: SqlControlStore, clock: FakeClock, actor: Actor) -> Tenant:
    return await create_tenant(store, clock, actor, "demo")


@pytest.fixture
def desk(store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, tmp_path: Path) -> Desk:
    # Files are as old as the computer says; so that they can be old, the clock begins after them.
    clock.pass_by(days=100 * 365)
    return Desk(store, Blobs(tmp_path / "artifacts"), clock, actor, tenant)
