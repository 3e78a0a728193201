"""Where a test publishes, changes, goes back and collects, and sees what is current."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from recsys.control.change_document import change_document, inspect_artifacts
from recsys.control.collect_garbage import Collection, collect_garbage
from recsys.control.outcome import DocumentOutcome
from recsys.control.publish import publish
from recsys.control.roll_back import RollbackRequest, roll_back_document
from recsys.domain.access import Actor
from recsys.domain.errors import NotReady
from recsys.domain.manifest import Manifest, read_manifest
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from recsys.storage.transaction import SqlTenantTransaction
from tests.support.artifacts import Artifact
from tests.support.clock import FakeClock
from tests.support.documents import ANYTHING, HOME


class Blobs(LocalBlobStore):
    """A directory that can fail, and in which time passes as the test's clock says."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Marks(None), max_bytes=1_000_000)
        self.fails_at: str | None = None
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """What happens once while somebody reads a blob."""
        self.read: list[str] = []
        self.root = root

    async def put(self, name: str, content: bytes | memoryview) -> None:
        if self.fails_at and self.fails_at in name:
            raise NotReady("the disk is full")
        await super().put(name, content)

    async def find(self, name: str) -> Any:
        if self.fails_at == "find":
            raise NotReady("nobody answers")
        if self.fails_at == "silent":
            await asyncio.Event().wait()
        return await super().find(name)

    async def get(self, name: str) -> memoryview:
        self.read.append(name)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        return await super().get(name)

    def names(self) -> set[str]:
        return {path.name for path in self.root.rglob("*.arrow")}


class Desk:
    """Where somebody publishes for the surface ``home`` of a tenant, and sees what is current."""

    def __init__(self, store: SqlControlStore, blobs: Blobs, clock: FakeClock, actor: Actor, tenant: Tenant) -> None:
        self.store, self.blobs, self.clock, self.actor, self.tenant = store, blobs, clock, actor, tenant

    async def publish(self, *artifacts: Artifact, only: bool = False) -> DocumentOutcome:
        given = {each.kind: each.new for each in artifacts}
        return await publish(self.store, self.blobs, self.actor, self.tenant.id, "home", given, only=only)

    async def current(self) -> Manifest | None:
        async with self.store.reading() as reader:
            pointer = await reader.pointer(self.tenant.id, HOME)
        return read_manifest(msgspec.json.decode(pointer.version.text)) if pointer else None

    async def put(self, preconditions: Preconditions = ANYTHING, **uris: str) -> DocumentOutcome:
        """Change the manifest as the service does."""
        data = msgspec.json.encode({"v": 1, "tenant": "demo", "surface": "home", "current": uris})
        await inspect_artifacts(self.store, self.blobs, self.tenant.id, HOME, data, preconditions)
        return await change_document(
            self.store, self.actor, self.tenant.id, HOME, data, preconditions, blobs=self.blobs
        )

    async def lose(self) -> None:
        """Everything that is stored goes."""
        for file in self.blobs.root.rglob("*.*"):
            file.unlink()

    async def back(self, **target: Any) -> DocumentOutcome:
        request = msgspec.convert(target, RollbackRequest)
        return await roll_back_document(
            self.store, self.actor, self.tenant.id, HOME, request, ANYTHING, blobs=self.blobs
        )

    async def collect(self, *, keep_days: float = 30, delete: bool = True) -> Collection:
        return await collect_garbage(
            self.store, self.blobs, self.clock, self.actor, self.tenant.id, keep_days=keep_days, delete=delete
        )

    def before_the_next_change(self, step: Callable[[], Awaitable[Any]]) -> None:
        """Have something happen once, just before a tenant is locked."""
        real = self.store.changing

        @asynccontextmanager
        async def changing(reference: str, actor: Actor) -> AsyncIterator[SqlTenantTransaction]:
            self.store.changing = real  # type: ignore[method-assign]
            await step()
            async with real(reference, actor) as transaction:
                yield transaction

        self.store.changing = changing  # type: ignore[method-assign]
