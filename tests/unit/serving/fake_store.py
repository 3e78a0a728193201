"""A small database in memory that can be slow, gone or restored."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from recsys.domain.access import Role
from recsys.domain.api_key import ApiKey, hash_key
from recsys.domain.canonical import content_hash
from recsys.domain.catalogue import SurfaceRows
from recsys.domain.document import DocumentRef
from recsys.domain.errors import NotReady, TenantNotFound
from recsys.domain.history import Pointers
from recsys.domain.ports import Overview, TenantDocuments, TenantHead
from recsys.domain.tenant import Tenant
from tests.support.surfaces import NOW, item, rows


class FixedClock:
    def now(self) -> datetime:
        return NOW


class FakeServingStore:
    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.texts: dict[str, dict[DocumentRef, str]] = {}
        self.moved_at: dict[str, str] = {}
        self.rows: dict[tuple[str, str], SurfaceRows] = {}
        self.keys_stored: list[ApiKey] = []
        self.gone = False
        self.gates: dict[str, asyncio.Event] = {}
        """Where the next read of ``overview``, ``documents`` or ``surface_rows`` waits."""
        self.reads = 0
        self.read_again: dict[str, int] = {}

    def add_tenant(self, name: str) -> str:
        tenant_id = f"id-{name}"
        self.tenants[tenant_id] = Tenant(
            id=tenant_id, external_id=name, name=name, data_revision=1, created_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        self.texts[tenant_id] = {}
        self.rows[tenant_id, "home"] = rows([item("a"), item("b")], {"a": 2.0, "b": 1.0})
        return tenant_id

    def change(self, tenant_id: str, **fields: Any) -> None:
        self.tenants[tenant_id] = msgspec.structs.replace(self.tenants[tenant_id], **fields)

    def put(self, tenant_id: str, kind: str, text: str, revision: int | None = None, *, surface: str = "") -> None:
        self.texts[tenant_id] = self.texts[tenant_id] | {DocumentRef(kind, surface): text}
        self.change(tenant_id, revision=revision or self.tenants[tenant_id].revision + 1)

    def load(self, tenant_id: str, data: SurfaceRows) -> None:
        revision = self.tenants[tenant_id].data_revision + 1
        self.rows[tenant_id, data.surface] = msgspec.structs.replace(data, data_revision=revision)
        self.change(tenant_id, data_revision=revision)

    def add_key(self, key: str, tenant_id: str | None = None) -> None:
        made = ApiKey(
            id=key, tenant_id=tenant_id, name=key, role=Role.ADMIN, hint=key, key_hash=hash_key(key),
            created_at=NOW, created_by_sub="test",
        )  # fmt: skip
        self.keys_stored = [*self.keys_stored, made]

    async def overview(self) -> Overview:
        self._reach()
        heads = [self._head(tenant) for tenant in self.tenants.values()]
        await self._wait("overview")
        return Overview(heads=heads, keys=self.keys_stored, read_at=NOW)

    async def documents(self, tenant_id: str) -> TenantDocuments:
        self._reach()
        if tenant_id not in self.tenants:
            raise TenantNotFound
        self.reads += 1
        texts = self.texts[tenant_id]
        etags = {ref: content_hash(text) for ref, text in texts.items()}
        revision = self.tenants[tenant_id].revision
        await self._wait("documents")
        return TenantDocuments(
            tenant_id=tenant_id,
            revision=revision,
            pointers=Pointers(
                config=etags.get(DocumentRef("config")),
                rules=etags.get(DocumentRef("rules")),
                manifests={ref.surface: etag for ref, etag in etags.items() if ref.kind.per_surface},
            ),
            texts=texts,
            manifests_moved_at={ref.surface: NOW for ref in texts if ref.kind.per_surface},
            read_again=self.read_again,
        )

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        self._reach()
        found = self.rows[tenant_id, surface]
        await self._wait("surface_rows")
        return msgspec.structs.replace(found, popularity=[], covisits=[]) if items_only else found

    def _head(self, tenant: Tenant) -> TenantHead:
        mine = {surface: data for (owner, surface), data in self.rows.items() if owner == tenant.id}
        return TenantHead(
            tenant=tenant,
            surfaces={surface: data.data_revision for surface, data in mine.items()},
            load_ids={surface: data.load_id for surface, data in mine.items() if data.load_id},
            moved_at=self.moved_at.get(tenant.id),
        )

    def _reach(self) -> None:
        if self.gone:
            raise NotReady

    async def _wait(self, method: str) -> None:
        if gate := self.gates.pop(method, None):
            await gate.wait()


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def polled(self) -> None:
        pass

    def copied(self, read_at: datetime) -> None:
        self.events.append(("copied", read_at))

    def copy_refused(self) -> None:
        self.events.append(("copy_refused",))

    def copy_failed(self) -> None:
        self.events.append(("copy_failed",))

    def serving(self, tenant_id: str, revision: int, data_revision: int) -> None:
        self.events.append(("serving", tenant_id, revision, data_revision))

    def incompatible(self, tenant_id: str, documents: int) -> None:
        self.events.append(("incompatible", tenant_id, documents))

    def artifact_refused(self, tenant_id: str) -> None:
        self.events.append(("artifact_refused", tenant_id))

    def manifest_moved(self, tenant_id: str, surface: str, at: datetime | None) -> None:
        self.events.append(("manifest_moved", tenant_id, surface, at))

    def restored(self, tenant_id: str) -> None:
        self.events.append(("restored", tenant_id))
