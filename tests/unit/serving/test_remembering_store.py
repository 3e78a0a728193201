"""A start without the database serves what the host kept of it, says so, and lets go of it once the database is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from recsys.domain.api_key import hash_key
from recsys.domain.errors import NotReady
from recsys.serving.answer import recommend
from recsys.serving.remembering_store import RememberingServingStore
from recsys.serving.replica import Replica
from recsys.storage.last_good import LastGoodFile
from recsys.storage.signal_files import MappedSignalFiles
from tests.support.clock import FakeClock
from tests.support.surfaces import NOW, item, request, rows
from tests.unit.serving.fake_store import FakeServingStore, Recorder

BLOCK_A = '[{"action":"block","target_key":"a","target_type":"item"}]'
UNREADABLE = '{"from_the_future":1}'
LOAD, OTHER_LOAD = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"


class Host:
    """A database, and a directory in which the processes of a host keep what they need without it."""

    def __init__(self, directory: Path) -> None:
        self.store = FakeServingStore()
        self.seen = Recorder()
        self.clock = FakeClock()
        self.directory = directory
        self.tenant = self.store.add_tenant("one")
        self.load("a", "b")

    def load(self, *names: str, load_id: str = LOAD, data_revision: int = 1) -> None:
        made = rows([item(name) for name in names], data_revision=data_revision, load_id=load_id)
        self.store.rows[self.tenant, "home"] = made

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Replica]:
        files = MappedSignalFiles(self.directory, None)
        copy = LastGoodFile(self.directory, "db")
        store = RememberingServingStore(self.store, copy, files, self.clock, self.seen)
        replica = Replica(store, self.clock, self.seen, poll_ms=60_000, signal_files=files)
        await replica.start()
        try:
            yield replica
        finally:
            await replica.stop()
            await store.close()

    async def has_served(self) -> None:
        async with self.process():
            pass


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "cache")


def answer(replica: Replica) -> list[str]:
    snapshot = replica.snapshot("id-one")
    assert snapshot is not None
    found = recommend(snapshot, request(), request_id="r", now=NOW, stale=replica.stale)
    return [each.item_id for each in found.items]


def is_stale(replica: Replica) -> bool:
    return replica.stale


async def test_a_start_without_the_database_serves_what_was_kept_and_says_so(host: Host) -> None:
    host.store.put("id-one", "rules", BLOCK_A)
    host.store.add_key("secret", "id-one")
    await host.has_served()
    read_at = host.clock.now()
    host.store.gone = True
    host.clock.pass_by(hours=1)
    async with host.process() as replica:
        assert replica.synced
        assert is_stale(replica)
        assert answer(replica) == ["b"]
        assert replica.directory.key(hash_key("secret")) is not None
        assert replica.directory.key(hash_key("wrong")) is None
        health = replica.health()
        assert health.copy_age_seconds == pytest.approx(3_600, abs=1)
        assert health.poll_age_seconds == pytest.approx(3_600, abs=1)
        (copied,) = [event for event in host.seen.events if event[0] == "copied"]
        assert copied[1] < read_at


async def test_a_suspended_tenant_stays_suspended(host: Host) -> None:
    host.store.change("id-one", status="suspended")
    await host.has_served()
    host.store.gone = True
    async with host.process() as replica:
        assert replica.directory.by_id["id-one"].status == "suspended"


async def test_the_database_is_followed_once_it_is_back(host: Host) -> None:
    host.store.add_key("revoked meanwhile", "id-one")
    await host.has_served()
    host.store.gone = True
    async with host.process() as replica:
        host.store.put("id-one", "rules", BLOCK_A)
        host.store.keys_stored = []
        host.store.add_tenant("two")
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]
        host.store.gone = False
        await replica.catch_up()
        assert answer(replica) == ["b"]
        assert not is_stale(replica)
        assert replica.directory.key(hash_key("revoked meanwhile")) is None
        assert replica.snapshot("id-two") is not None
        assert replica.health().copy_age_seconds is None
        host.store.gone = True
        await replica.catch_up()
        assert answer(replica) == ["b"], "from memory now, which is newer than the copy"
        assert replica.health().copy_age_seconds is None


async def test_documents_of_the_same_revision_are_read_again_from_the_database(host: Host) -> None:
    """It may have been restored, and changed since, up to the revision of the copy."""
    host.store.put("id-one", "rules", "[]")
    await host.has_served()
    host.store.gone = True
    async with host.process() as replica:
        host.store.put("id-one", "rules", BLOCK_A, revision=1)
        host.store.gone = False
        await replica.catch_up()
        assert answer(replica) == ["b"]


async def test_a_database_restored_meanwhile_is_adopted_and_kept(host: Host) -> None:
    before = host.store.tenants["id-one"]
    host.store.put("id-one", "rules", BLOCK_A)
    await host.has_served()
    host.store.gone = True
    async with host.process() as replica:
        assert answer(replica) == ["b"]
        host.store.tenants["id-one"], host.store.texts["id-one"], host.store.gone = before, {}, False
        await replica.catch_up()
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]
        assert ("restored", "id-one") in host.seen.events
    host.store.gone = True
    async with host.process() as replica:
        assert answer(replica) == ["a", "b"]


async def test_without_a_copy_a_start_waits_for_the_database(host: Host) -> None:
    host.store.gone = True
    async with host.process() as replica:
        assert not replica.synced
        assert replica.snapshot("id-one") is None


@pytest.mark.parametrize("damage", [b"rot", b""])
async def test_a_damaged_copy_is_never_served(host: Host, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await host.has_served()
    path = host.directory / "last-good.json"
    path.write_bytes(damage)
    host.store.gone = True
    async with host.process() as replica:
        assert not replica.synced
        assert not replica.directory.by_id
        assert host.seen.events.count(("copy_refused",)) == 1
        assert str(path) in caplog.text
        host.store.gone = False
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]
    host.store.gone = True
    async with host.process() as replica:
        assert answer(replica) == ["a", "b"], "and it is replaced by a good one"


async def test_rows_are_not_asked_for_where_signals_are_missing_and_others_are_served(host: Host) -> None:
    host.store.add_tenant("two")
    host.store.rows["id-two", "home"] = rows([item("z")], load_id=OTHER_LOAD)
    await host.has_served()
    for path in (host.directory / "id-one").rglob("*.signals"):
        path.unlink()
    host.store.gone = True
    async with host.process() as replica:
        assert replica.snapshot("id-one") is None
        assert replica.snapshot("id-two") is not None
        assert replica.synced


async def test_signals_of_another_load_than_the_copy_knows_of_are_served(host: Host) -> None:
    """Between a load and the copy that knows of it a process can be killed: the older file is gone then."""
    await host.has_served()
    copy = (host.directory / "last-good.json").read_bytes()
    host.load("c", load_id=OTHER_LOAD, data_revision=2)
    host.store.change("id-one", data_revision=2)
    await host.has_served()
    (host.directory / "last-good.json").write_bytes(copy)
    host.store.gone = True
    async with host.process() as replica:
        assert answer(replica) == ["c"]


async def test_a_restart_that_cannot_read_a_document_serves_the_last_good_one(host: Host) -> None:
    host.store.put("id-one", "rules", BLOCK_A)
    await host.has_served()
    host.store.put("id-one", "rules", UNREADABLE)
    for gone in (False, False, True):
        host.store.gone = gone
        async with host.process() as replica:
            assert answer(replica) == ["b"]
            assert replica.health().tenants["id-one"].incompatible == "rules"
            assert replica.snapshot("id-one").documents.revision == 2  # type: ignore[union-attr]
    host.store.gone = False
    host.store.put("id-one", "rules", "[]")
    async with host.process() as replica:
        assert answer(replica) == ["a", "b"]
        assert replica.health().tenants["id-one"].incompatible is None


async def test_a_copy_that_cannot_be_written_is_counted_and_serving_goes_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("recsys.serving.remembering_store._PACE_SECONDS", 0.01)
    host.directory.parent.joinpath("cache").write_text("a file where the directory should be")
    async with host.process() as replica:
        for _ in range(200):
            if ("copy_failed",) in host.seen.events:
                break
            await asyncio.sleep(0.01)
        assert ("copy_failed",) in host.seen.events
        assert answer(replica) == ["a", "b"]
    assert caplog.text.count("the last known good cannot be kept") == 1


async def test_a_database_that_hangs_is_not_waited_for_where_there_is_a_copy(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.has_served()
    monkeypatch.setattr("recsys.serving.remembering_store._PATIENCE_SECONDS", 0.01)
    hanging = asyncio.Event()
    host.store.gates["overview"] = hanging
    async with host.process() as replica:
        assert answer(replica) == ["a", "b"]
        assert is_stale(replica)
        await replica.catch_up()
        assert not is_stale(replica)


async def test_errors_of_a_database_that_answered_once_are_passed_on(host: Host) -> None:
    await host.has_served()
    files = MappedSignalFiles(host.directory, None)
    store = RememberingServingStore(host.store, LastGoodFile(host.directory, "db"), files, host.clock, host.seen)
    await store.overview()
    host.store.gone = True
    with pytest.raises(NotReady):
        await store.overview()
    with pytest.raises(NotReady):
        await store.documents("id-one")
    await store.close()
