"""Publishing, going back and collecting, on both databases: what is served has all that it names, always."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.control.read_audit import read_audit
from recsys.control.roll_back import RollbackRequest, roll_back_tenant
from recsys.domain.artifact import ArtifactRecord
from recsys.domain.errors import ArtifactIncompatible, Frozen, NotReady, PreconditionFailed, VersionMismatch
from recsys.domain.manifest import Manifest
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import TenantSettings
from tests.support.artifacts import LINEAGE, Artifact, popularity
from tests.support.desk import Desk
from tests.support.documents import ANYTHING, config, put, version_of

COOC = Artifact("cooc")


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


async def test_what_will_be_refused_or_changes_nothing_has_no_artifacts_looked_at(desk: Desk) -> None:
    await desk.publish(popularity(1))
    desk.blobs.read.clear()
    first, stale = Preconditions(if_none_match=True), Preconditions(if_match=frozenset({"ab" * 32}))

    with pytest.raises(PreconditionFailed):
        await desk.put(first, popularity=popularity(2).uri)
    with pytest.raises(VersionMismatch) as refused:
        await desk.put(stale, popularity=popularity(2).uri)
    assert refused.value.extra["differs"] == ["/current/popularity"]
    assert not (await desk.put(stale, popularity=popularity(1).uri)).changed
    await update_tenant(desk.store, desk.actor, desk.tenant.id, TenantSettings(frozen=True))
    with pytest.raises(Frozen):
        await desk.put(popularity=popularity(2).uri)
    assert desk.blobs.read == []


async def test_what_moves_while_artifacts_are_looked_at_is_seen(desk: Desk) -> None:
    for number in (1, 2):
        await popularity(number).store(desk.blobs, desk.tenant.id)
    desk.blobs.meanwhile = lambda: desk.put(popularity=popularity(1).uri)

    with pytest.raises(PreconditionFailed):
        await desk.put(Preconditions(if_none_match=True), popularity=popularity(2).uri)


async def test_a_store_that_never_answers_keeps_nobody_from_going_back_or_from_changing_anything(desk: Desk) -> None:
    first = await desk.publish(popularity(1), COOC)
    await desk.publish(popularity(2))
    other = await create_tenant(desk.store, desk.clock, desk.actor, "other")
    desk.blobs.fails_at = "silent"

    began = time.monotonic()
    back, *changed = await asyncio.gather(
        desk.back(to=version_of(first)),
        *(put(desk.store, desk.actor, tenant, config(1)) for tenant in (desk.tenant, other)),
    )
    assert version_of(back) == version_of(first)
    assert all(each.changed for each in changed)
    assert time.monotonic() - began < 4, "two artifacts are asked for at once"


async def test_what_is_gone_is_refused_though_the_store_is_silent_about_the_rest(desk: Desk) -> None:
    first = await desk.publish(popularity(1), COOC)
    await desk.publish(popularity(2), only=True)
    found, gone = desk.blobs.find, popularity(1).at(desk.tenant.id).blob

    async def find(name: str) -> Any:
        return await found(name) if name == gone else await asyncio.Event().wait()

    await desk.blobs.delete(gone)
    desk.blobs.find = find  # type: ignore[method-assign]  # of this one store
    with pytest.raises(ArtifactIncompatible) as refused:
        await desk.back(to=version_of(first))
    assert [fault.pointer for fault in refused.value.faults] == ["/current/popularity"]


async def test_a_publish_puts_back_what_a_collection_took_meanwhile(desk: Desk) -> None:
    """The collection looked just before the publish stored, and removes just after."""
    desk.before_the_next_change(desk.lose)
    await desk.publish(COOC)

    assert {f"{COOC.sha256}.arrow"} == desk.blobs.names()
    assert await desk.blobs.find(COOC.at(desk.tenant.id).record) is not None


async def test_a_manifest_whose_artifact_goes_while_it_is_put_is_refused(desk: Desk) -> None:
    await COOC.store(desk.blobs, desk.tenant.id)
    desk.before_the_next_change(desk.lose)

    with pytest.raises(ArtifactIncompatible) as refused:
        await desk.put(cooc=COOC.uri)
    assert [fault.pointer for fault in refused.value.faults] == ["/current/cooc"]
    assert await desk.current() is None
