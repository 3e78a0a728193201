from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

import pytest

from recsys.domain.api_key import hash_key
from recsys.domain.errors import NotReady, TenantNotFound
from recsys.domain.replica import ReplicaReport
from recsys.service.metrics import Metrics
from recsys.serving import keeper as keeper_module
from recsys.serving.answer import recommend
from recsys.serving.background import aside
from recsys.serving.presence import Presence
from recsys.serving.replica import Replica
from recsys.serving.snapshot import Snapshot
from tests.support.surfaces import NOW, item, request, rows
from tests.unit.serving.fake_registry import FakeRegistry, identity
from tests.unit.serving.fake_store import FakeServingStore, FixedClock, Recorder

BLOCK_A = '[{"action":"block","target_key":"a","target_type":"item"}]'
UNREADABLE = '{"from_the_future":1}'


@pytest.fixture
def store() -> FakeServingStore:
    made = FakeServingStore()
    made.add_tenant("one")
    made.add_tenant("two")
    return made


@pytest.fixture
def seen() -> Recorder:
    return Recorder()


@asynccontextmanager
async def running(store: FakeServingStore, seen: Recorder) -> AsyncIterator[Replica]:
    replica = Replica(store, FixedClock(), seen, poll_ms=60_000)  # polls when told to
    await replica.start()
    try:
        yield replica
    finally:
        await replica.stop()


def served(replica: Replica, tenant: str) -> Snapshot:
    found = replica.snapshot(tenant)
    assert found is not None
    return found


def is_synced(replica: Replica) -> bool:
    """Asked through a function, since mypy takes an attribute once seen False for False for good."""
    return replica.synced


def answer(replica: Replica, tenant: str = "id-one") -> list[str]:
    found = recommend(served(replica, tenant), request(), request_id="r", now=NOW, stale=replica.stale)
    return [each.item_id for each in found.items]


async def test_serves_everything_after_start(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        assert is_synced(replica)
        assert answer(replica) == ["a", "b"]
        assert replica.directory.tenant("one") is replica.directory.tenant("id-one") is not None
        health = replica.health()
        assert (health.ready, health.stale) == (True, False)
        assert health.tenants["id-one"].data_revision == 1


async def test_catching_up_serves_documents_and_data(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        store.put("id-one", "rules", BLOCK_A)
        store.load("id-two", rows([item("z")]))
        await replica.catch_up()
        assert answer(replica) == ["b"]
        assert answer(replica, "id-two") == ["z"]
        assert served(replica, "id-two").data_revision == 2


async def test_a_data_revision_without_rows_is_followed(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        store.change("id-one", data_revision=9)
        await replica.catch_up()
        assert served(replica, "id-one").data_revision == 9


async def test_a_new_surface_appears_and_a_dropped_one_goes(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        store.load("id-one", rows([item("z")], surface="pdp"))
        await replica.catch_up()
        assert set(served(replica, "id-one").surfaces) == {"home", "pdp"}
        del store.rows["id-one", "pdp"]
        await replica.catch_up()
        assert set(served(replica, "id-one").surfaces) == {"home"}


async def test_another_load_of_the_same_data_revision_is_served(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        store.rows["id-one", "home"] = rows([item("z")], load_id="of a database restored and loaded between two polls")
        await replica.catch_up()
        assert answer(replica) == ["z"]


async def test_concurrent_catch_ups_share_a_poll(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        store.put("id-one", "rules", BLOCK_A)
        before = store.reads
        await asyncio.gather(*(replica.catch_up() for _ in range(20)))
        assert store.reads == before + 1
        assert answer(replica) == ["b"]


async def test_a_slow_old_fill_never_overwrites_a_newer_one(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        old = store.gates["documents"] = asyncio.Event()
        slow = asyncio.create_task(replica.invalidate("id-one", ["rules"], None))
        await asyncio.sleep(0)
        store.put("id-one", "rules", BLOCK_A)
        await replica.catch_up()
        old.set()
        await slow
        assert answer(replica) == ["b"]
        assert served(replica, "id-one").revision == 1


async def test_slow_signals_hold_up_neither_documents_nor_other_tenants(
    store: FakeServingStore, seen: Recorder
) -> None:
    async with running(store, seen) as replica:
        gate = store.gates["surface_rows"] = asyncio.Event()
        store.load("id-one", rows([item("a"), item("c")]))
        store.put("id-one", "rules", BLOCK_A)
        store.put("id-two", "rules", BLOCK_A)
        await replica.catch_up(loads=False)
        assert answer(replica) == ["b"]
        assert answer(replica, "id-two") == ["b"]
        assert served(replica, "id-one").data_revision == 1
        gate.set()
        await replica.catch_up()
        assert answer(replica) == ["c"]
        assert served(replica, "id-one").data_revision == 2


async def test_goes_on_without_the_database(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        store.gone = True
        await replica.catch_up()
        assert replica.stale
        assert is_synced(replica)
        assert answer(replica) == ["a", "b"]
        with pytest.raises(NotReady):
            await replica.invalidate("id-one", ["config"], None)
        store.gone = False
        await replica.catch_up()
        assert not replica.stale


async def test_starts_without_the_database_and_becomes_ready_later(store: FakeServingStore, seen: Recorder) -> None:
    store.gone = True
    async with running(store, seen) as replica:
        assert not is_synced(replica)
        store.gone = False
        await replica.catch_up()
        assert is_synced(replica)
        assert answer(replica) == ["a", "b"]


async def test_a_restored_database_is_adopted_when_seen_twice(store: FakeServingStore, seen: Recorder) -> None:
    older = copy(store.tenants["id-one"])
    store.put("id-one", "rules", BLOCK_A)
    async with running(store, seen) as replica:
        store.tenants["id-one"], store.texts["id-one"] = older, {}
        await replica.catch_up()
        assert answer(replica) == ["b"]
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]
        assert ("restored", "id-one") in seen.events
        assert ("restored", "id-two") not in seen.events


async def test_a_database_restored_and_changed_to_the_revision_known_is_adopted_too(
    store: FakeServingStore, seen: Recorder
) -> None:
    store.put("id-one", "rules", "[]")
    store.moved_at["id-one"] = "noon"
    async with running(store, seen) as replica:
        store.put("id-one", "rules", BLOCK_A, revision=1)
        store.moved_at["id-one"] = "night"
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]
        await replica.catch_up()
        assert answer(replica) == ["b"]
        assert ("restored", "id-one") in seen.events


async def test_a_tenant_missing_twice_is_dropped(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        del store.tenants["id-one"]
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]
        await replica.catch_up()
        assert replica.snapshot("id-one") is None
        assert replica.directory.tenant("one") is None


async def test_an_unreadable_document_keeps_the_last_good_snapshot(store: FakeServingStore, seen: Recorder) -> None:
    store.put("id-one", "rules", BLOCK_A)
    async with running(store, seen) as replica:
        store.put("id-one", "config", UNREADABLE)
        store.put("id-two", "rules", BLOCK_A)
        await replica.catch_up()
        reads = store.reads
        await replica.catch_up()
        assert store.reads == reads, "a document that cannot be read is not read again and again"
        assert answer(replica) == ["b"]
        assert served(replica, "id-one").documents.pointers.config is None, "the last good config: none"
        assert replica.health().tenants["id-one"].incompatible == "config"
        assert answer(replica, "id-two") == ["b"]
        store.put("id-one", "rules", "[]")
        await replica.catch_up()
        assert answer(replica) == ["a", "b"], "one unreadable document does not hold up the others"
        assert replica.health().tenants["id-one"].incompatible == "config"
        store.put("id-one", "config", "{}")
        await replica.catch_up()
        assert served(replica, "id-one").documents.pointers.config is not None
        assert replica.health().tenants["id-one"].incompatible is None
        assert [e for e in seen.events if e[0] == "incompatible"] == [
            ("incompatible", "id-one", 1),
            ("incompatible", "id-one", 0),
        ]


async def test_a_tenant_that_was_never_readable_is_not_served_defaults(store: FakeServingStore, seen: Recorder) -> None:
    store.put("id-one", "config", UNREADABLE)
    async with running(store, seen) as replica:
        assert is_synced(replica)
        assert replica.snapshot("id-one") is None
        assert answer(replica, "id-two") == ["a", "b"]


async def test_new_and_revoked_platform_keys_are_seen_though_no_revision_rose(
    store: FakeServingStore, seen: Recorder
) -> None:
    async with running(store, seen) as replica:
        store.add_key("new")
        await replica.catch_up()
        assert replica.directory.key(hash_key("new")) is not None
        store.keys_stored = []
        await replica.catch_up()
        assert replica.directory.key(hash_key("new")) is None


async def test_invalidate_counts_what_was_read_again(store: FakeServingStore, seen: Recorder) -> None:
    store.put("id-one", "config", "{}")
    async with running(store, seen) as replica:
        counts = await replica.invalidate("id-one", ["config", "rules", "popularity"], None)
        assert counts == {"config": 1, "rules": 0, "popularity": 0}
        with pytest.raises(TenantNotFound):
            await replica.invalidate("id-none", ["config"], None)


async def test_an_invalidation_elsewhere_is_followed_once(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        reads = store.reads
        store.change("id-one", invalidations=1)
        await replica.catch_up()
        await replica.catch_up()
        assert store.reads == reads + 1


async def test_unchanged_surfaces_are_taken_over(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        before = served(replica, "id-one")
        store.load("id-one", rows([item("z")], surface="pdp"))
        await replica.catch_up()
        assert served(replica, "id-one").surfaces["home"] is before.surfaces["home"]


async def test_stopping_releases_those_who_wait(store: FakeServingStore, seen: Recorder) -> None:
    async with running(store, seen) as replica:
        gate = store.gates["documents"] = asyncio.Event()
        store.put("id-one", "rules", BLOCK_A)
        waiting = asyncio.create_task(replica.catch_up())
        await asyncio.sleep(0.01)
    await asyncio.wait_for(waiting, 5)
    assert not gate.is_set()


async def test_an_observer_that_fails_does_not_end_the_polling(store: FakeServingStore, seen: Recorder) -> None:
    class Failing(Recorder):
        def polled(self) -> None:
            raise ValueError

    async with running(store, Failing()) as replica:
        store.put("id-one", "rules", BLOCK_A)
        await replica.catch_up()
        assert answer(replica) == ["b"]


async def test_the_poll_finds_changes_by_itself(store: FakeServingStore, seen: Recorder) -> None:
    replica = Replica(store, FixedClock(), seen, poll_ms=5)
    await replica.start()
    store.put("id-one", "rules", BLOCK_A)
    for _ in range(200):
        await asyncio.sleep(0.005)
        if served(replica, "id-one").revision == 1:
            break
    await replica.stop()
    assert answer(replica) == ["b"]


class FakeFeed:
    def __init__(self) -> None:
        self.healthy = True
        self.heard: Callable[[str], object] = bool

    def start(self, heard: Callable[[str], None]) -> None:
        self.heard = heard

    async def stop(self) -> None:
        self.healthy = False


async def test_what_the_feed_tells_is_served_at_once_and_the_row_says_so(
    store: FakeServingStore, seen: Recorder
) -> None:
    feed, registry = FakeFeed(), FakeRegistry()
    presence = Presence(identity("me"), registry, Metrics())
    replica = Replica(store, FixedClock(), seen, poll_ms=60_000, feed=feed, presence=presence)
    await replica.start()
    try:
        store.put("id-one", "rules", BLOCK_A)
        feed.heard("")
        async with asyncio.timeout(5):
            while registry.rows["me"].tenants["id-one"].revision != 1:
                await asyncio.sleep(0.001)
        assert answer(replica) == ["b"]
    finally:
        await replica.stop()


async def test_what_is_told_of_is_served_though_a_poll_hangs_and_what_that_poll_saw_is_no_restore(
    store: FakeServingStore, seen: Recorder
) -> None:
    feed = FakeFeed()
    replica = Replica(store, FixedClock(), seen, poll_ms=60_000, feed=feed)
    await replica.start()
    try:
        gate = store.gates["overview"] = asyncio.Event()
        catching_up = [asyncio.create_task(replica.catch_up()) for _ in range(2)]
        while "overview" in store.gates:
            await asyncio.sleep(0)  # the poll has read the revisions, and hangs
        store.put("id-one", "rules", BLOCK_A)
        await asyncio.wait_for(replica.follow("id-one", 1), 5)
        assert answer(replica) == ["b"]
        store.put("id-two", "rules", BLOCK_A)
        feed.heard("id-two")
        async with asyncio.timeout(5):
            while answer(replica, "id-two") != ["b"]:
                await asyncio.sleep(0.001)
        gate.set()
        await asyncio.gather(*catching_up)
        assert replica.report().tenants["id-one"].revision == 1, "it is not in doubt"
    finally:
        await replica.stop()
    assert ("restored", "id-one") not in seen.events


async def test_who_committed_a_change_after_an_outage_is_not_told_of_it_anymore(
    store: FakeServingStore, seen: Recorder
) -> None:
    replica = Replica(store, FixedClock(), seen, poll_ms=60_000)
    await replica.start()
    try:
        store.gone = True
        await replica.catch_up()
        assert replica.stale
        store.gone = False
        store.put("id-one", "rules", BLOCK_A)
        await asyncio.wait_for(replica.follow("id-one", 1), 5)
        assert answer(replica) == ["b"]
        assert not replica.stale
    finally:
        await replica.stop()


async def test_being_told_of_nothing_new_costs_one_look(store: FakeServingStore, seen: Recorder) -> None:
    feed = FakeFeed()
    replica = Replica(store, FixedClock(), seen, poll_ms=60_000, feed=feed)
    await replica.start()
    try:
        await replica.follow("id-one", 0)  # what is served already is not read again
        before = store.reads
        feed.heard("id-one")
        await replica.catch_up()
        await replica.catch_up()
        assert store.reads == before + 1
    finally:
        await replica.stop()


async def test_a_healthy_feed_that_loses_a_notification_costs_a_second(store: FakeServingStore, seen: Recorder) -> None:
    replica = Replica(store, FixedClock(), seen, poll_ms=60_000, feed=FakeFeed())
    await replica.start()
    try:
        store.put("id-one", "rules", BLOCK_A)
        async with asyncio.timeout(5):
            while answer(replica) != ["b"]:
                await asyncio.sleep(0.01)
    finally:
        await replica.stop()


async def test_a_report_names_who_moved_or_is_behind(
    store: FakeServingStore, seen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "NEWS_S", -1.0)
    async with running(store, seen) as replica:
        assert replica.report() == ReplicaReport(synced_through=NOW, tenants={})
        gate = store.gates["documents"] = asyncio.Event()
        store.put("id-one", "rules", BLOCK_A)
        waiting = asyncio.create_task(replica.catch_up())
        await asyncio.sleep(0.01)
        assert replica.report().tenants["id-one"].revision == 0, "synced through the commit, but for this one"
        gate.set()
        await waiting
        store.put("id-one", "config", UNREADABLE)
        await replica.catch_up()
        said = replica.report().tenants
        assert {name: (each.revision, each.incompatible) for name, each in said.items()} == {"id-one": (2, "config")}


async def test_a_report_says_nothing_of_a_tenant_whose_database_may_have_been_restored(
    store: FakeServingStore, seen: Recorder
) -> None:
    older = copy(store.tenants["id-one"])
    store.put("id-one", "rules", BLOCK_A)
    async with running(store, seen) as replica:
        assert replica.report().tenants["id-one"].revision == 1
        store.tenants["id-one"], store.texts["id-one"] = older, {}
        await replica.catch_up()
        assert replica.report().tenants["id-one"].revision is None
        await replica.catch_up()
        assert replica.report().tenants["id-one"].revision == 0


async def test_what_was_read_before_a_restore_follows_no_invalidation_after_it(
    store: FakeServingStore, seen: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large document is on its way to being read when the database falls back, and its counters with it."""
    store.change("id-one", revision=5, invalidations=5)
    gate = asyncio.Event()
    async with running(store, seen) as replica:

        async def slowly(*given: Any) -> Any:
            await gate.wait()
            return await aside(*given)

        store.put("id-one", "rules", BLOCK_A)
        monkeypatch.setattr(keeper_module, "aside", slowly)
        reading = asyncio.create_task(replica.catch_up("id-one"))
        await asyncio.sleep(0.05)
        store.change("id-one", revision=3, invalidations=1)
        for _ in range(2):
            await replica._poll()
        monkeypatch.undo()
        gate.set()
        await reading
        await replica.catch_up()
        assert served(replica, "id-one").revision == 3
        assert replica.report().tenants["id-one"].invalidations == 1
