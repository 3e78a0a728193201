"""Artifacts from the command line, and publishers that are killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from recsys.bootstrap.wiring import SystemClock
from recsys.control.check_artifacts import check_manifest
from recsys.control.collect_garbage import collect_garbage
from recsys.control.manage_tenants import create_tenant
from recsys.control.publish import publish
from recsys.domain.document import DocumentRef
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from tests.support.artifacts import popularity
from tests.support.databases import SqliteTemplate
from tests.support.effort import effort
from tests.support.publisher import ACTOR, three_kinds
from tests.support.server import serve

HOME = DocumentRef("manifest", "home")
KILLS = effort(3, 50)


@asynccontextmanager
async def opened(db: str) -> AsyncIterator[SqlControlStore]:
    database = open_database(db)
    try:
        yield SqlControlStore(database, SystemClock())
    finally:
        await database.close()


async def look(db: str, root: Path) -> int:
    """Insist that what is current is there as a whole; the number that it was published under."""
    blobs = LocalBlobStore(root, Marks(None), max_bytes=1_000_000)
    async with opened(db) as store:
        async with store.reading() as reader:
            tenant = await reader.tenant("demo")
            pointer = await reader.pointer(tenant.id, HOME)
        assert pointer is not None
        await check_manifest(blobs, tenant.id, HOME.surface, msgspec.json.decode(pointer.version.text))
    number = pointer.revision
    current = msgspec.json.decode(pointer.version.text)["current"]
    assert current == {each.kind: each.uri for each in three_kinds(number)}, f"not what was published as {number}"
    for each in three_kinds(number):
        assert bytes(await blobs.get(each.at(tenant.id).blob)) == each.content
        assert await blobs.find(each.at(tenant.id).record) is not None
    return number


def test_a_publisher_that_is_killed_leaves_current_whole(database_url: str, tmp_path: Path) -> None:
    root, chance, numbers = tmp_path / "artifacts", random.Random(7), [0]
    asyncio.run(make_tenant(database_url))
    for _ in range(KILLS):
        command = [sys.executable, "-m", "tests.support.publisher", database_url, str(root), str(numbers[-1] + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as publisher:
            assert publisher.stdout is not None
            assert publisher.stdout.readline()  # the first is done: from here on it may die in the middle of any step
            time.sleep(chance.uniform(0, 0.3))
            publisher.kill()
        numbers.append(asyncio.run(look(database_url, root)))
        assert numbers[-1] > numbers[-2]
    asyncio.run(clean_up(database_url, root, numbers[-1]))


async def make_tenant(db: str) -> None:
    async with opened(db) as store:
        await create_tenant(store, SystemClock(), ACTOR, "demo")


async def clean_up(db: str, root: Path, last: int) -> None:
    """What the killed left behind is garbage: it goes, and the next publish goes through."""
    blobs = LocalBlobStore(root, Marks(None), max_bytes=1_000_000)
    async with opened(db) as store:
        found = await collect_garbage(
            store, blobs, SystemClock(), ACTOR, "demo", keep_days=0, grace=timedelta(), delete=True
        )
        assert len(found.referenced) == 3
        assert await look(db, root) == last
        artifacts = {each.kind: each.new for each in three_kinds(last + 1)}
        await publish(store, blobs, ACTOR, "demo", "home", artifacts)
    assert await look(db, root) == last + 1


def test_artifacts_of_a_service_that_runs(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (tmp_path / "popularity.arrow").write_bytes(popularity().content)
    with serve(sqlite_template.fresh(), tmp_path, artifacts=store) as server, server.client() as client:
        client.post("/v1/admin/tenants", json={"external_id": "demo"}).raise_for_status()
        command = [sys.executable, "-m", "recsys", "artifacts", "publish", "popularity=popularity.arrow"]
        where = ["-t", "demo", "-s", "home", "--url", server.url]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
        environ["RECSYS_ARTIFACTS"] = str(store)
        done = subprocess.run(
            [*command, *where], cwd=tmp_path, env=environ, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr

        manifest = client.get("/v1/admin/tenants/demo/manifests/home").json()["manifest"]
        assert manifest["current"] == {"popularity": popularity().uri}
