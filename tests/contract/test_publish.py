"""Publishing, going back and collecting, on both databases: what is served has all that it names, always."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recsys.control.change_document import change_document
from recsys.control.check_artifacts import check_manifest
from recsys.control.collect_garbage import Collection, collect_garbage
from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.control.outcome import DocumentOutcome
from recsys.control.publish import publish
from recsys.control.read_audit import read_audit
from recsys.control.read_history import label_revision
from recsys.control.roll_back import RollbackRequest, roll_back_document, roll_back_tenant
from recsys.domain.access import Actor
from recsys.domain.artifact import ArtifactRecord
from recsys.domain.errors import ArtifactIncompatible, Frozen, NotReady
from recsys.domain.history import KNOWN_GOOD
from recsys.domain.manifest import Manifest, read_manifest
from recsys.domain.tenant import Tenant, TenantSettings
from recsys.storage.control_store import SqlControlStore
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from tests.support.artifacts import LINEAGE, Artifact, popularity
from tests.support.clock import FakeClock
from tests.support.documents import ANYTHING, HOME, version_of

COOC = Artifact("cooc")


class Blobs(LocalBlobStore):
    """A directory that can fail, and in which time passes as the test's clock says."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Marks(None), max_bytes=1_000_000)
        self.fails_at: str | None = None
        self.root = root

    async def put(self, name: str, content: bytes | memoryview) -> None:
        if self.fails_at and self.fails_at in name:
            raise NotReady("the disk is full")
        await super().put(name, content)

    async def find(self, name: str) -> Any:
        if self.fails_at == "find":
            raise NotReady("nobody answers")
        return await super().find(name)

    def names(self) -> set[str]:
        return {path.name for path in self.root.rglob("*.arrow")}


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "artifacts")


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

    async def put(self, **uris: str) -> DocumentOutcome:
        """Change the manifest as the service does."""
        data = msgspec.json.encode({"v": 1, "tenant": "demo", "surface": "home", "current": uris})
        await check_manifest(self.store, self.blobs, self.tenant, HOME, data)
        return await change_document(self.store, self.actor, self.tenant.id, HOME, data, ANYTHING)

    async def back(self, **target: Any) -> DocumentOutcome:
        request = msgspec.convert(target, RollbackRequest)
        return await roll_back_document(
            self.store, self.actor, self.tenant.id, HOME, request, ANYTHING, blobs=self.blobs
        )

    async def collect(self, *, keep_days: float = 30, delete: bool = True) -> Collection:
        return await collect_garbage(
            self.store, self.blobs, self.clock, self.tenant.id, keep_days=keep_days, delete=delete
        )


@pytest.fixture
def desk(store: SqlControlStore, blobs: Blobs, clock: FakeClock, actor: Actor, tenant: Tenant) -> Desk:
    # Files are as old as the computer says; so that they can be old, the clock begins after them.
    clock.pass_by(days=100 * 365)
    return Desk(store, blobs, clock, actor, tenant)


async def test_a_publish_stores_blobs_and_records_and_moves_the_manifest(desk: Desk) -> None:
    one = popularity()
    outcome = await desk.publish(one, COOC)

    assert outcome.changed
    assert await desk.current() == Manifest(
        v=1, tenant="demo", surface="home", current={"popularity": one.uri, "cooc": COOC.uri}
    )
    for artifact in (one, COOC):
        assert bytes(await desk.blobs.get(artifact.at(desk.tenant.id).blob)) == artifact.content
        record = msgspec.json.decode(await desk.blobs.get(artifact.at(desk.tenant.id).record), type=ArtifactRecord)
        assert (record.sha256, record.size_bytes, record.lineage) == (artifact.sha256, len(artifact.content), LINEAGE)
    entry = (await read_audit(desk.store, desk.tenant.id, 1, None))[0]
    assert entry.action == "manifest.update"


async def test_the_same_again_is_the_same_version(desk: Desk) -> None:
    first = await desk.publish(popularity(), COOC)
    again = await desk.publish(COOC, popularity())

    assert not again.changed
    assert version_of(again) == version_of(first)


async def test_what_is_not_published_stays_unless_it_is_to_go(desk: Desk) -> None:
    await desk.publish(popularity(1), COOC)
    await desk.publish(popularity(2))
    current = await desk.current()
    assert current is not None
    assert current.current == {"popularity": popularity(2).uri, "cooc": COOC.uri}

    await desk.publish(popularity(2), only=True)
    current = await desk.current()
    assert current is not None
    assert current.current == {"popularity": popularity(2).uri}


@pytest.mark.parametrize("fails_at", ["cooc/", ".arrow", ".json"])
async def test_a_publish_that_fails_leaves_current_as_it_was(desk: Desk, fails_at: str) -> None:
    first = await desk.publish(popularity(1))
    desk.blobs.fails_at = fails_at

    with pytest.raises(NotReady):
        await desk.publish(popularity(2), COOC)

    current = await desk.current()
    assert current is not None
    assert current.current == {"popularity": popularity(1).uri}
    desk.blobs.fails_at = None
    assert version_of(await desk.back(to=version_of(first))) == version_of(first)


async def test_a_frozen_tenant_takes_no_publish(desk: Desk) -> None:
    await update_tenant(desk.store, desk.actor, desk.tenant.id, TenantSettings(frozen=True))
    with pytest.raises(Frozen):
        await desk.publish(popularity())
    assert await desk.current() is None


async def test_publishes_at_a_time_lose_nothing(desk: Desk) -> None:
    import asyncio

    kinds = [popularity(), COOC, Artifact("embedding"), Artifact("history")]
    await asyncio.gather(*(desk.publish(each) for each in kinds))

    current = await desk.current()
    assert current is not None
    assert current.current == {each.kind: each.uri for each in kinds}


async def test_a_manifest_with_anything_missing_or_wrong_is_refused_naming_each_kind(desk: Desk) -> None:
    good = await desk.publish(popularity())
    await Artifact("embedding").store(desk.blobs, desk.tenant.id)
    embedding = desk.blobs.root / Artifact("embedding").at(desk.tenant.id).blob
    embedding.write_bytes(b"damaged")
    cooc_as_history = COOC.at(desk.tenant.id).blob.replace("/cooc/", "/history/")
    await desk.blobs.put(cooc_as_history, COOC.content)

    with pytest.raises(ArtifactIncompatible) as refused:
        await desk.put(
            popularity=popularity().uri,
            cooc=COOC.uri,
            embedding=Artifact("embedding").uri,
            history=COOC.uri,
            catalog="file:///etc/passwd",
            implicit="sha256:../../x",
        )

    said = {fault.pointer: fault.detail for fault in refused.value.faults}
    assert said.keys() == {
        "/current/cooc",
        "/current/embedding",
        "/current/history",
        "/current/catalog",
        "/current/implicit",
    }
    assert "has no" in said["/current/cooc"]
    assert "is damaged" in said["/current/embedding"]
    assert "says that it holds cooc" in said["/current/history"]
    assert "is not the URI of an artifact" in said["/current/catalog"]
    assert "is not the URI of an artifact" in said["/current/implicit"]
    assert version_of(await desk.back(to=version_of(good))) == version_of(good)


async def test_what_is_current_may_be_put_again_though_it_is_gone(desk: Desk) -> None:
    await desk.publish(popularity())
    await desk.blobs.delete(popularity().at(desk.tenant.id).blob)

    assert not (await desk.put(popularity=popularity().uri)).changed
    with pytest.raises(ArtifactIncompatible):
        await desk.put(popularity=popularity().uri, cooc=COOC.uri)


async def test_one_tenant_cannot_be_served_from_another_s_artifacts(desk: Desk) -> None:
    other = await create_tenant(desk.store, desk.clock, desk.actor, "other")
    await COOC.store(desk.blobs, other.id)

    with pytest.raises(ArtifactIncompatible, match="has no"):
        await desk.put(cooc=COOC.uri)


async def test_going_back_asks_first_whether_all_is_there(desk: Desk) -> None:
    first = await desk.publish(popularity(1))
    second = await desk.publish(popularity(2))
    await desk.blobs.delete(popularity(1).at(desk.tenant.id).blob)

    with pytest.raises(ArtifactIncompatible) as refused:
        await desk.back(to=version_of(first))
    assert [fault.pointer for fault in refused.value.faults] == ["/current/popularity"]
    with pytest.raises(ArtifactIncompatible):
        await roll_back_tenant(
            desk.store, desk.actor, desk.tenant.id, RollbackRequest(revision=1), ANYTHING, blobs=desk.blobs
        )
    current = await desk.current()
    assert current is not None
    assert current.current == {"popularity": popularity(2).uri}

    await popularity(1).store(desk.blobs, desk.tenant.id)
    assert version_of(await desk.back(to=version_of(first))) == version_of(first)
    desk.blobs.fails_at = "find"  # a store that is down says nothing about what it has: nobody is kept from going back
    assert version_of(await desk.back(to=version_of(second))) == version_of(second)


async def test_what_is_needed_is_never_collected(desk: Desk) -> None:
    labelled = await desk.publish(popularity(1))
    assert labelled.pointer is not None
    await label_revision(desk.store, desk.actor, desk.tenant.id, labelled.pointer.revision, KNOWN_GOOD)
    await desk.publish(popularity(2))
    desk.clock.pass_by(days=10)
    await desk.publish(popularity(3))  # until now 2 was served
    desk.clock.pass_by(days=29)
    await desk.publish(popularity(4))
    await popularity(5).store(desk.blobs, desk.tenant.id)  # of a publish that was killed

    found = await desk.collect()  # 2 was served 29 days ago still

    assert [each.address.sha256 for each in found.collected] == [popularity(5).sha256]
    assert len(found.referenced) == 4
    assert desk.blobs.names() == {f"{popularity(n).sha256}.arrow" for n in (1, 2, 3, 4)}
    assert not (await desk.collect()).collected

    desk.clock.pass_by(days=1.5)
    assert [each.address.sha256 for each in (await desk.collect()).collected] == [popularity(2).sha256]
    desk.clock.pass_by(days=30)
    assert [each.address.sha256 for each in (await desk.collect()).collected] == [popularity(3).sha256]
    assert desk.blobs.names() == {f"{popularity(n).sha256}.arrow" for n in (1, 4)}


async def test_without_delete_nothing_goes(desk: Desk) -> None:
    await desk.publish(popularity(1), COOC)
    await desk.publish(popularity(2))
    desk.clock.pass_by(days=31)

    found = await desk.collect(delete=False)

    assert [each.address.sha256 for each in found.collected] == [popularity(1).sha256]
    assert len(desk.blobs.names()) == 3


async def test_what_is_young_may_be_about_to_be_pointed_to(desk: Desk) -> None:
    desk.clock.pass_by(days=-100 * 365)  # now
    from datetime import UTC, datetime

    desk.clock.pass_by(seconds=(datetime.now(UTC) - desk.clock.now()).total_seconds())
    await COOC.store(desk.blobs, desk.tenant.id)

    found = await desk.collect(keep_days=0)
    assert [each.address for each in found.young] == [COOC.at(desk.tenant.id)]
    desk.clock.pass_by(hours=23)
    assert not (await desk.collect(keep_days=0)).collected
    desk.clock.pass_by(hours=2)
    assert len((await desk.collect(keep_days=0)).collected) == 1


async def test_a_publish_of_something_old_while_it_is_collected_keeps_it(desk: Desk) -> None:
    """The collection lists and judges, the publish of the same old artifact runs, then the collection goes on."""
    await desk.publish(COOC)
    await desk.publish(only=True)
    desk.clock.pass_by(days=31)
    listed = desk.blobs.list_below

    async def list_and_publish(prefix: str) -> Any:
        found = await listed(prefix)
        desk.blobs.list_below = listed  # type: ignore[method-assign]
        await desk.publish(COOC)
        return found

    desk.blobs.list_below = list_and_publish  # type: ignore[method-assign]
    assert not (await desk.collect()).collected

    assert await desk.blobs.find(COOC.at(desk.tenant.id).blob) is not None


async def test_a_publish_puts_back_what_a_collection_took_meanwhile(desk: Desk) -> None:
    """The collection looked just before the publish stored, and removes just after."""
    taken = []
    real = desk.store.changing

    def change_and_lose(*args: Any, **kwargs: Any) -> Any:
        for file in desk.blobs.root.rglob("*.*"):
            taken.append(file)
            file.unlink()
        return real(*args, **kwargs)

    desk.store.changing = change_and_lose  # type: ignore[method-assign]
    await desk.publish(COOC)

    assert len(taken) == 2
    assert all(file.exists() for file in taken)


async def test_other_tenants_and_foreign_files_are_left_alone(desk: Desk) -> None:
    other = await create_tenant(desk.store, desk.clock, desk.actor, "other")
    await COOC.store(desk.blobs, other.id)
    for name in ("note.txt", "home/note.txt", "home/cooc/note.json"):
        await desk.blobs.put(f"{desk.tenant.id}/{name}", b"mine")
    desk.clock.pass_by(days=31)

    assert not (await desk.collect()).collected
    assert await desk.blobs.find(COOC.at(other.id).blob) is not None
    assert len(await desk.blobs.list_below(f"{desk.tenant.id}/")) == 3


async def test_retention_is_counted_in_days(desk: Desk) -> None:
    await desk.publish(popularity(1))
    await desk.publish(popularity(2))
    desk.clock.pass_by(hours=12)
    assert not (await desk.collect(keep_days=1)).collected
    assert len((await desk.collect(keep_days=timedelta(hours=6) / timedelta(days=1))).collected) == 1
