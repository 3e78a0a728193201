"""What the host kept of a database answers as the database did, on both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from recsys.control.manage_keys import create_key
from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.domain.access import Actor, Role
from recsys.domain.catalogue import SurfaceRows
from recsys.domain.errors import NotReady
from recsys.domain.ports import Overview, TenantDocuments
from recsys.domain.tenant import Tenant, TenantSettings
from recsys.service.metrics import Metrics
from recsys.serving.remembering_store import RememberingServingStore
from recsys.storage.control_store import SqlControlStore
from recsys.storage.last_good import LastGoodFile
from recsys.storage.serving_store import SqlServingStore
from recsys.storage.signal_files import MappedSignalFiles
from tests.contract.test_serving_store import POPULARITY, load
from tests.support.clock import FakeClock
from tests.support.documents import HOME, config, manifest, put


class GoneStore:
    async def overview(self) -> Overview:
        raise NotReady

    async def documents(self, tenant_id: str) -> TenantDocuments:
        raise NotReady

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        raise NotReady


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def remembering(store: SqlServingStore | GoneStore, directory: Path, clock: FakeClock) -> RememberingServingStore:
    files = MappedSignalFiles(directory, None)
    return RememberingServingStore(store, LastGoodFile(directory, "db"), files, clock, Metrics())


async def test_a_copy_says_what_the_database_said(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant, directory: Path,
    clock: FakeClock,
) -> None:  # fmt: skip
    other = await create_tenant(store, clock, actor, "bare")
    await update_tenant(store, actor, other.id, TenantSettings(status="suspended"))
    await load(store, actor, tenant, "popularity", POPULARITY)
    await create_key(store, clock, actor, tenant.id, "ops", Role.ADMIN)
    await put(store, actor, tenant, config(1))
    await put(store, actor, tenant, manifest("a"), ref=HOME)
    alive = remembering(serving_store, directory, clock)
    said, documents = await alive.overview(), [await alive.documents(each) for each in (tenant.id, other.id)]
    await alive.close()

    copied = remembering(GoneStore(), directory, clock)
    overview = await copied.overview()
    assert overview.copied_at is not None
    assert replace(overview, copied_at=None) == replace(said, read_at=None)
    assert [replace(await copied.documents(each.tenant_id), copied=False) for each in documents] == documents
    with pytest.raises(NotReady):
        await copied.surface_rows(tenant.id, "home")
