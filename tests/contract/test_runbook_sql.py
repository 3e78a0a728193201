"""The statements that the runbook shows do what it says, on the databases that they are for."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from recsys.control.read_document import read_document
from recsys.domain.access import Actor
from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from tests.support.databases import PostgresTemplate
from tests.support.documents import HOME, manifest, put, version_of
from tests.support.shell import by_hand

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
PDP = DocumentRef(MANIFEST.name, "pdp")


def statements(word: str) -> list[str]:
    """Those of the block that has the word, without comments and the words of the transaction."""
    blocks = re.findall(r"```sql\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [each for each in blocks if word in each]
    parts = re.sub(r"--.*", "", block).split(";")
    return [part.strip() for part in parts if part.strip() not in ("", "begin", "commit")]


async def test_the_manifest_of_one_surface_is_moved_by_hand_and_no_other(
    store: SqlControlStore, actor: Actor, tenant: Tenant, database_url: str
) -> None:
    good, _ = [version_of(await put(store, actor, tenant, manifest(key), ref=HOME)) for key in "ab"]
    await put(store, actor, tenant, manifest("c", "pdp"), ref=PDP)
    before = await read_document(store, tenant.id, PDP)
    look, move = (each.replace("TENANT-UUID", tenant.id) for each in statements("tenant_manifests_current"))

    rows = await asyncio.to_thread(by_hand, database_url, look)
    wanted = next(str(row[0]) for row in rows if row[2] == good)
    assert {row[1] for row in rows} == {"home"}
    await asyncio.to_thread(by_hand, database_url, move.replace("VERSION-ID", wanted))

    assert (await read_document(store, tenant.id, HOME)).version.etag == good
    assert (await read_document(store, tenant.id, PDP)).version == before.version


@pytest.fixture
def postgresql(postgres_template: PostgresTemplate) -> str:
    return postgres_template.fresh()


@pytest.fixture
async def shells(postgresql: str) -> AsyncIterator[list[asyncpg.Connection]]:
    """Three shells on one database."""
    url = make_url(postgresql)
    host = str(url.query["host"])
    connections = [await asyncpg.connect(host=host, user="postgres", database=url.database) for _ in range(3)]
    yield connections
    for each in connections:
        each.terminate()


async def test_who_left_a_transaction_open_is_found(shells: list[asyncpg.Connection]) -> None:
    forgotten, waiting, operator = shells
    await forgotten.execute("begin")
    await forgotten.execute("lock table tenants in access exclusive mode")
    waits = asyncio.create_task(waiting.execute("update tenants set name = name"))
    holders, long_open = statements("pg_blocking_pids")
    async with asyncio.timeout(10):
        while not (found := await operator.fetch(holders)):
            await asyncio.sleep(0.02)
    assert [(row["pid"], row["state"]) for row in found] == [(forgotten.get_server_pid(), "idle in transaction")]
    assert "lock table tenants" in found[0]["query"]
    long_open = long_open.replace("10 seconds", "0 seconds")
    assert forgotten.get_server_pid() in [row["pid"] for row in await operator.fetch(long_open)]

    await operator.execute(f"select pg_terminate_backend({forgotten.get_server_pid()})")
    assert await waits == "UPDATE 0"
