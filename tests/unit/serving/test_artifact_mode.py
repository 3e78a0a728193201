"""Surfaces with a manifest are served from its artifacts; what cannot be served leaves what was good."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recsys.domain.canonical import content_hash
from recsys.domain.errors import NotReady
from recsys.domain.manifest import ArtifactKind
from recsys.domain.recommend import RecommendResponse
from recsys.serving import failures
from recsys.serving.answer import recommend
from recsys.serving.replica import Replica
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from recsys.storage.signal_files import MappedSignalFiles
from tests.support.artifacts import Artifact
from tests.support.surfaces import NOW, item, request, rows
from tests.unit.serving.fake_store import FakeServingStore, FixedClock, Recorder

ONE = "id-one"


class Blobs(LocalBlobStore):
    """A directory that can be gone, or slow, and says how often it was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "blobs", Marks(root / "marks"), max_bytes=1_000_000)
        self.gone = False
        self.reads = 0
        self.gate: asyncio.Event | None = None

    async def get(self, name: str) -> memoryview:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.gone:
            raise NotReady
        return await super().get(name)


class World:
    """A database, an artifact store and a host, and replicas that come and go there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = FakeServingStore()
        self.store.add_tenant("one")
        self.blobs = Blobs(root)
        self.files: MappedSignalFiles | None = MappedSignalFiles(root / "cache", root / "run")
        self.seen = Recorder()

    @asynccontextmanager
    async def replica(self) -> AsyncIterator[Replica]:
        made = Replica(self.store, FixedClock(), self.seen, poll_ms=60_000, signal_files=self.files, blobs=self.blobs)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()

    async def publish(self, *artifacts: Artifact, surface: str = "home") -> str:
        """Store artifacts and make a manifest of them current; its version."""
        for each in artifacts:
            await each.store(self.blobs, ONE)
        return self.point({each.kind: each.uri for each in artifacts}, surface)

    def point(self, uris: dict[ArtifactKind, str], surface: str = "home") -> str:
        text = json.dumps({"v": 1, "tenant": "one", "surface": surface, "current": uris})
        self.store.put(ONE, "manifest", text, surface=surface)
        return content_hash(text)

    def path(self, artifact: Artifact) -> Path:
        return self.root / "blobs" / artifact.at(ONE).blob


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def popular(**scores: float) -> Artifact:
    return Artifact("popularity", [{"item_id": name, "score": score} for name, score in scores.items()])


def catalog(*names: str) -> Artifact:
    unknown = {"title": "", "tags": [], "price": 1.0, "created_at": 0, "attributes": ""}
    return Artifact("catalog", [{"item_id": name} | unknown for name in names])


def ask(replica: Replica, **fields: Any) -> RecommendResponse:
    snapshot = replica.snapshot(ONE)
    assert snapshot is not None
    return recommend(snapshot, request(**fields), request_id="r", now=NOW, stale=replica.stale)


def answer(replica: Replica, surface: str = "home") -> list[str]:
    return [each.item_id for each in ask(replica, surface=surface).items]


def version(replica: Replica) -> str | None:
    return ask(replica).meta.manifest_version


def incompatible(replica: Replica) -> str | None:
    return replica.health().tenants[ONE].incompatible


async def test_a_surface_with_a_manifest_is_served_from_it_and_others_from_tables(world: World) -> None:
    world.store.rows[ONE, "pdp"] = rows([item("p")], surface="pdp")
    published = await world.publish(popular(x=2.0, y=1.0), catalog("x", "y"))

    async with world.replica() as replica:
        assert answer(replica) == ["x", "y"]
        assert version(replica) == published
        assert answer(replica, "pdp") == ["p"]
        assert ask(replica, surface="pdp").meta.manifest_version is None


async def test_a_surface_that_has_only_a_manifest_is_one(world: World) -> None:
    async with world.replica() as replica:
        world.point({"popularity": popular(n=1.0).uri}, "new")
        await world.blobs.put(popular(n=1.0).at(ONE).blob.replace("/home/", "/new/"), popular(n=1.0).content)
        await replica.catch_up()
        assert answer(replica, "new") == ["n"]

        world.store.texts[ONE] = {}
        world.store.change(ONE, revision=9)
        await replica.catch_up()
        assert answer(replica, "new") == []
        assert [each.code for each in ask(replica, surface="new").warnings] == ["SIGNAL_UNAVAILABLE"]


async def test_documents_are_served_at_once_and_say_which_signals_made_the_answer(world: World) -> None:
    first = await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        world.blobs.gate = asyncio.Event()
        second = await world.publish(popular(y=1.0, z=1.0), catalog())
        world.store.put(ONE, "config", '{"limits":{"max_k":1}}')
        await replica.catch_up(loads=False)

        answered = ask(replica)
        assert [each.item_id for each in answered.items] == ["x"]
        assert (answered.meta.manifest_version, answered.meta.revision) == (first, 3)
        assert answered.meta.config_version is not None

        world.blobs.gate.set()
        await replica.catch_up()
        assert (answer(replica), version(replica)) == (["y"], second)


@pytest.mark.parametrize("shared", [True, False], ids=["files", "memory"])
async def test_the_manifest_before_is_gone_back_to_without_reading_anything(world: World, shared: bool) -> None:
    world.files = world.files if shared else None
    first = await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        before = ask(replica).items
        await world.publish(popular(y=1.0), catalog())
        await replica.catch_up()
        assert answer(replica) == ["y"]

        world.blobs.gone = True
        world.point({"popularity": popular(x=1.0).uri, "catalog": catalog().uri})
        await replica.catch_up(loads=False)
        assert (ask(replica).items, version(replica)) == (before, first)


async def test_a_host_goes_back_two_manifests_from_its_files(world: World) -> None:
    published = [await world.publish(popular(**{name: 1.0}), catalog()) for name in "x"]
    async with world.replica() as replica:
        for name in "yz":
            published.append(await world.publish(popular(**{name: 1.0}), catalog()))
            await replica.catch_up()
        reads = world.blobs.reads

        world.point({"popularity": popular(x=1.0).uri, "catalog": catalog().uri})
        await replica.catch_up()
        assert (answer(replica), version(replica)) == (["x"], published[0])
        assert world.blobs.reads == reads


@pytest.mark.parametrize("fault", ["damaged", "foreign", "no artifact"])
async def test_what_cannot_be_served_is_refused_once_and_for_all(
    world: World, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        bad = popular(y=1.0)
        await bad.store(world.blobs, ONE)
        uri = bad.uri
        if fault == "damaged":
            world.path(bad).write_bytes(bad.content[:-1] + b"!")
        elif fault == "foreign":
            await world.blobs.put(f"{ONE}/home/popularity/{catalog('y').sha256}.arrow", catalog("y").content)
            uri = catalog("y").uri
        else:
            uri = "https://elsewhere/popularity.arrow"
        world.point({"popularity": uri, "catalog": catalog().uri})
        for _ in range(3):
            await replica.catch_up()

        assert (answer(replica), version(replica)) == (["x"], good)
        assert incompatible(replica) == "manifest/home"
        assert [each for each in world.seen.events if each[0] == "artifact_refused"] == [("artifact_refused", ONE)]
        assert ("incompatible", ONE, 1) in world.seen.events
        assert f"popularity {uri}" in caplog.text

        world.store.put(ONE, "config", '{"limits":{"max_k":1}}')
        await replica.catch_up()
        assert ask(replica).meta.config_version is not None
        assert incompatible(replica) == "manifest/home"

        await world.publish(popular(z=1.0), catalog())
        await replica.catch_up()
        assert (answer(replica), incompatible(replica)) == (["z"], None)


async def test_what_is_missing_is_refused_and_served_when_it_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_FIRST_PAUSE_S", 0.05)
    await catalog().store(world.blobs, ONE)
    async with world.replica() as replica:
        world.point({"popularity": popular(y=1.0).uri})
        await replica.catch_up()
        assert answer(replica) == ["a", "b"]  # from the tables, as before
        assert incompatible(replica) == "manifest/home"

        await popular(y=1.0).store(world.blobs, ONE)
        reads = world.blobs.reads
        await replica.catch_up()
        assert world.blobs.reads == reads  # not yet
        await asyncio.sleep(0.06)
        await replica.catch_up()
        assert answer(replica)[0] == "y"
        assert incompatible(replica) is None


async def test_what_is_damaged_is_refused_and_served_once_it_is_published_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_FINAL_PAUSE_S", 0.05)
    async with world.replica() as replica:
        await world.publish(popular(y=1.0))
        world.path(popular(y=1.0)).write_bytes(b"no artifact")
        await replica.catch_up()
        assert incompatible(replica) == "manifest/home"

        await popular(y=1.0).store(world.blobs, ONE)
        reads = world.blobs.reads
        await replica.catch_up()
        assert world.blobs.reads == reads  # not yet
        await asyncio.sleep(0.06)
        await replica.catch_up()
        assert (answer(replica)[0], incompatible(replica)) == ("y", None)


async def test_a_store_that_is_gone_leaves_the_last_good_and_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_FIRST_PAUSE_S", 0.01)
    await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        await world.publish(popular(y=1.0), catalog())
        world.blobs.gone = True
        await replica.catch_up()
        assert (answer(replica), incompatible(replica)) == (["x"], None)

        world.blobs.gone = False
        await asyncio.sleep(0.02)
        await replica.catch_up()
        assert answer(replica) == ["y"]


async def test_a_restart_without_the_store_serves_what_the_host_has_mapped(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        before = ask(replica).items
    world.blobs.gone = True

    async with world.replica() as replica:
        assert (replica.synced, ask(replica).items) == (True, before)


@pytest.mark.parametrize("fault", ["gone", "damaged"])
async def test_a_restart_that_cannot_serve_the_manifest_serves_what_was_good_on_this_host(
    world: World, fault: str
) -> None:
    first = await world.publish(popular(x=1.0), catalog())
    async with world.replica():
        pass
    await world.publish(popular(y=1.0), catalog())
    if fault == "gone":
        world.blobs.gone = True
    else:
        world.path(popular(y=1.0)).write_bytes(b"no artifact")

    async with world.replica() as replica:
        assert replica.synced
        assert (answer(replica), version(replica)) == (["x"], first)
        assert incompatible(replica) == (None if fault == "gone" else "manifest/home")


async def test_a_start_that_can_serve_nothing_waits_for_the_store(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    world.blobs.gone = True

    async with world.replica() as replica:
        assert (replica.synced, replica.snapshot(ONE)) == (False, None)


@pytest.mark.parametrize("mount_point", [True, False], ids=["empty", "missing"])
async def test_a_start_waits_for_a_directory_that_is_not_mounted(
    world: World, monkeypatch: pytest.MonkeyPatch, mount_point: bool
) -> None:
    monkeypatch.setattr(failures, "_FIRST_PAUSE_S", 0.01)
    await world.publish(popular(x=1.0), catalog())
    blobs = world.root / "blobs"
    blobs.rename(world.root / "elsewhere")
    if mount_point:
        blobs.mkdir()

    async with world.replica() as replica:
        assert (replica.synced, replica.snapshot(ONE)) == (False, None)

        (world.root / "elsewhere").rename(blobs)
        await asyncio.sleep(0.02)
        await replica.catch_up()
        assert answer(replica) == ["x"]


async def test_a_start_with_a_refused_manifest_serves_the_other_surfaces(world: World) -> None:
    world.store.rows[ONE, "pdp"] = rows([item("p")], surface="pdp")
    world.point({"popularity": "s3://elsewhere"})

    async with world.replica() as replica:
        assert replica.synced
        assert answer(replica, "pdp") == ["p"]
        assert (answer(replica), incompatible(replica)) == ([], "manifest/home")


async def test_a_start_with_a_damaged_artifact_and_nothing_else_to_serve_says_so_in_the_answer(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    world.path(popular(x=1.0)).write_bytes(b"no artifact")

    async with world.replica() as replica:
        assert replica.synced, "one tenant's artifact keeps no other tenant from a restart"
        answered = ask(replica)
        assert (answered.items, incompatible(replica)) == ([], "manifest/home")
        (warning,) = answered.warnings
        assert warning.code == "SIGNAL_UNAVAILABLE"
        assert "manifest/home" in warning.detail


async def test_without_a_catalogue_the_tables_say_what_items_are(world: World) -> None:
    await world.publish(popular(a=1.0, b=2.0))
    async with world.replica() as replica:
        assert answer(replica) == ["b", "a"]
        world.store.load(ONE, rows([item("a", "red"), item("b", "blue")], {"never": 9.0}))
        await replica.catch_up()
        assert answer(replica) == ["b", "a"]
        assert [each.item_id for each in ask(replica, constraints={"required_tags": ["red"]}).items] == ["a"]
        assert ask(replica).meta.data_revision == 2


async def test_with_a_catalogue_loads_do_not_matter(world: World) -> None:
    await world.publish(popular(a=1.0, b=2.0), catalog("a"))
    async with world.replica() as replica:
        reads = world.blobs.reads
        world.store.load(ONE, rows([item("c", "red")], {"c": 9.0}))
        await replica.catch_up()
        assert (answer(replica), ask(replica).meta.data_revision) == (["b", "a"], 2)
        assert world.blobs.reads == reads


async def test_without_its_manifest_a_surface_is_served_from_tables_again(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        world.store.texts[ONE] = {}
        world.store.change(ONE, revision=2)
        await replica.catch_up()
        assert (answer(replica), version(replica)) == (["a", "b"], None)


async def test_a_kind_that_is_not_there_is_a_warning(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        for algorithm in ("cooc", "implicit", "content_sim", "session_seq"):
            answered = ask(replica, algorithm=algorithm, anchors={"item_ids": ["x"]})
            assert [each.code for each in answered.warnings] == ["SIGNAL_UNAVAILABLE"]


async def test_since_when_a_manifest_is_current_is_told(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        world.store.texts[ONE] = {}
        world.store.change(ONE, revision=2)
        await replica.catch_up()
    told = [each for each in world.seen.events if each[0] == "manifest_moved"]
    assert told == [("manifest_moved", ONE, "home", NOW), ("manifest_moved", ONE, "home", None)]


async def test_artifacts_that_are_asked_for_again_are_hashed_anew_and_refused_when_they_changed(world: World) -> None:
    good = await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        reads = world.blobs.reads
        world.store.read_again = {"home": 1}
        assert await replica.invalidate(ONE, ["popularity"], "home") == {"popularity": 1}
        assert world.blobs.reads == reads + 2

        path = world.path(popular(x=1.0))
        stat = path.stat()
        path.write_bytes(path.read_bytes()[:-1] + b"!")  # behind everybody's back: same size, same time
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        world.store.read_again = {"home": 2}
        assert await replica.invalidate(ONE, ["popularity"], None) == {"popularity": 0}
        assert (answer(replica), version(replica), incompatible(replica)) == (["x"], good, "manifest/home")

        world.path(popular(x=1.0)).write_bytes(popular(x=1.0).content)
        world.store.read_again = {"home": 3}
        assert await replica.invalidate(ONE, ["popularity"], "pdp") == {"popularity": 0}
        assert await replica.invalidate(ONE, ["popularity"], "home") == {"popularity": 1}
        assert incompatible(replica) is None


async def test_a_revision_is_followed_when_the_signals_of_its_manifests_are_served(world: World) -> None:
    await world.publish(popular(x=1.0), catalog())
    async with world.replica() as replica:
        assert followed(replica) == (1, None)
        world.blobs.gate = asyncio.Event()
        await world.publish(popular(y=1.0), catalog())
        world.store.put(ONE, "config", "{}")
        world.store.change(ONE, invalidations=1)
        await replica.catch_up(loads=False)
        assert ask(replica).meta.revision == 3
        assert followed(replica) == (1, None)
        assert replica.report().tenants[ONE].invalidations == 0

        world.blobs.gate.set()
        await replica.catch_up()
        assert followed(replica) == (3, None)
        assert replica.report().tenants[ONE].invalidations == 1


async def test_a_refused_manifest_is_followed_as_far_as_it_goes(world: World) -> None:
    async with world.replica() as replica:
        world.point({"popularity": "s3://elsewhere"})
        await replica.catch_up()
        assert followed(replica) == (1, "manifest/home")


async def test_a_manifest_that_cannot_be_reached_is_not_followed(world: World) -> None:
    async with world.replica() as replica:
        world.blobs.gone = True
        await world.publish(popular(x=1.0), catalog())
        await replica.catch_up()
        assert (ask(replica).meta.revision, followed(replica)) == (1, (0, None))


def followed(replica: Replica) -> tuple[int | None, str | None]:
    said = replica.report().tenants[ONE]
    return said.revision, said.incompatible
