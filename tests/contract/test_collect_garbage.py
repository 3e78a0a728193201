"""Collecting, on both databases: nothing that is needed goes, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from recsys.control.manage_tenants import create_tenant
from recsys.control.outcome import DocumentOutcome
from recsys.control.read_history import label_revision
from recsys.domain.errors import ArtifactIncompatible, NotReady
from recsys.domain.history import KNOWN_GOOD
from tests.support.artifacts import Artifact, popularity
from tests.support.desk import Desk
from tests.support.documents import version_of

COOC = Artifact("cooc")


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


async def test_what_a_rollback_made_current_while_it_is_collected_stays(desk: Desk) -> None:
    """The collection has judged; the rollback runs before it removes anything."""
    first = await desk.publish(popularity(1))
    await desk.publish(popularity(2))
    desk.clock.pass_by(days=31)
    desk.before_the_next_change(lambda: desk.back(to=version_of(first)))

    found = await desk.collect(keep_days=0)

    assert (len(found.referenced), found.collected) == (2, [])
    assert len(desk.blobs.names()) == 2


async def test_a_rollback_while_something_is_removed_waits_and_finds_that_it_is_gone(desk: Desk) -> None:
    first = await desk.publish(popularity(1))
    await desk.publish(popularity(2))
    desk.clock.pass_by(days=31)
    find, waiting = desk.blobs.find, list[asyncio.Task[DocumentOutcome]]()

    async def find_and_go_back(name: str) -> Any:
        found = await find(name)
        if not waiting:
            waiting.append(asyncio.create_task(desk.back(to=version_of(first))))
            await asyncio.sleep(0.1)
            assert not waiting[0].done()
        return found

    desk.blobs.find = find_and_go_back  # type: ignore[method-assign]
    assert len((await desk.collect(keep_days=0)).collected) == 1

    with pytest.raises(ArtifactIncompatible):
        await waiting[0]
    current = await desk.current()
    assert current is not None
    assert current.current == {"popularity": popularity(2).uri}


async def test_a_store_that_hangs_does_not_hold_the_tenant_for_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.control.collect_garbage.STORE_ANSWER_S", 0.05)
    await COOC.store(desk.blobs, desk.tenant.id)

    async def hang(name: str) -> None:
        del name
        await asyncio.sleep(60)

    desk.blobs.delete = hang  # type: ignore[method-assign]
    with pytest.raises(NotReady, match="too long"):
        await desk.collect()
    assert (await desk.publish(popularity())).changed


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
