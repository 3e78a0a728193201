"""Blob stores: one suite, on a directory and on a real HTTP server that speaks S3."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.domain.errors import ArtifactIncompatible, ArtifactStoreNotReady, NotFound, NotReady
from recsys.domain.ports import BlobStore
from recsys.storage.host_cache import HostCache
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from recsys.storage.object_store_blobs import ObjectStoreBlobStore, open_s3
from tests.support.object_store import fresh_prefix, object_store, tamper

MAX_BYTES = 20_000_000
CONTENT = b"Arrow, or so its name says" * 1000


def named(content: bytes, folder: str = "t/home/cooc") -> str:
    return f"{folder}/{hashlib.sha256(content).hexdigest()}.arrow"


@dataclass
class Stores:
    """A store, another process' view of the same one, and a way to change it behind their backs.

    ``on_host``: the file that the first one maps; ``only_copy``: there is no other to fetch it from.
    """

    store: BlobStore
    other: BlobStore
    tamper: Callable[[str, bytes], None]
    on_host: Callable[[str], Path]
    only_copy: bool


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with object_store() as address:
        yield address


@pytest.fixture(params=["directory", "s3"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    if request.param == "directory":
        root = tmp_path / "root"

        def change(name: str, content: bytes) -> None:
            (root / name).write_bytes(content)

        made = [LocalBlobStore(root, Marks(tmp_path / "marks"), max_bytes=MAX_BYTES) for _ in range(2)]
        return Stores(made[0], made[1], change, lambda name: root / name, only_copy=True)
    request.getfixturevalue("s3")
    url = fresh_prefix()
    caches = [HostCache(tmp_path / f"cache{n}", Marks(tmp_path / "marks")) for n in range(2)]
    first, second = (ObjectStoreBlobStore(open_s3(url), cache, max_bytes=MAX_BYTES) for cache in caches)

    def cached(name: str) -> Path:
        return tmp_path / "cache0" / name.rpartition("/")[2]

    return Stores(first, second, lambda name, content: tamper(url, name, content), cached, only_copy=False)


@pytest.fixture
def store(stores: Stores) -> BlobStore:
    return stores.store


async def test_what_is_put_can_be_got_found_and_listed(store: BlobStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    await store.put(named(CONTENT), CONTENT)
    await store.put("t/home/cooc/note.json", memoryview(b"{}"))

    assert bytes(await store.get(named(CONTENT))) == CONTENT
    assert bytes(await store.get(named(CONTENT))) == CONTENT
    assert bytes(await store.get("t/home/cooc/note.json")) == b"{}"
    assert (await store.get(named(CONTENT))).readonly
    found = await store.find(named(CONTENT))
    assert found is not None
    assert (found.name, found.size) == (named(CONTENT), len(CONTENT))
    assert before <= found.modified_at <= datetime.now(UTC) + timedelta(seconds=2)


async def test_large_and_empty_contents(store: BlobStore) -> None:
    large = bytes(17_000_000)
    for content in (large, b""):
        await store.put(named(content), content)
        assert bytes(await store.get(named(content))) == content


async def test_putting_again_replaces(store: BlobStore) -> None:
    await store.put("t/note.json", b"1")
    await store.put("t/note.json", b"2")

    assert bytes(await store.get("t/note.json")) == b"2"
    assert [info.name for info in await store.list_below("t/")] == ["t/note.json"]


async def test_only_what_lies_below_is_listed_in_order(store: BlobStore) -> None:
    for name in ("t/b.json", "t/a/x.json", "t/a/b.json", "tt/a.json", "u/a.json"):
        await store.put(name, b"")

    assert [info.name for info in await store.list_below("t/")] == ["t/a/b.json", "t/a/x.json", "t/b.json"]
    assert [info.name for info in await store.list_below("t/a/")] == ["t/a/b.json", "t/a/x.json"]
    assert len(await store.list_below("")) == 5
    assert await store.list_below("nobody/") == []


async def test_what_is_not_there(store: BlobStore) -> None:
    await store.put("other.json", b"")
    for name in ("nothing.json", "t/nothing.json", named(CONTENT)):
        with pytest.raises(NotFound, match=name):
            await store.get(name)
        assert await store.find(name) is None
        await store.delete(name)


async def test_what_is_forgotten_is_looked_at_again(stores: Stores) -> None:
    name = named(CONTENT)
    await stores.store.forget(name)  # nothing is known of it yet
    await stores.store.put(name, CONTENT)
    await stores.store.get(name)
    file = stores.on_host(name)
    before = file.stat()
    file.write_bytes(CONTENT[:-1] + b"!")  # by somebody who leaves no trace
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    await stores.store.forget(name)
    if stores.only_copy:
        with pytest.raises(ArtifactIncompatible, match="damaged"):
            await stores.store.get(name)
    else:
        assert bytes(await stores.store.get(name)) == CONTENT


async def test_what_is_deleted_is_gone_but_whoever_reads_it_may_finish(store: BlobStore) -> None:
    await store.put("t/note.json", b"1")
    await store.put(named(CONTENT), CONTENT)
    reading = await store.get(named(CONTENT))

    for name in ("t/note.json", named(CONTENT)):
        await store.delete(name)
        assert await store.find(name) is None

    assert await store.list_below("") == []
    assert bytes(reading) == CONTENT
    with pytest.raises(NotFound):
        await store.get("t/note.json")


@pytest.mark.parametrize(
    "name",
    ["", "/", "..", "../x", "t/../x", "t/..", "/etc/passwd", "t//x", "./x", ".hidden", "t/%2e%2e/x", "t\\x", "file:///x",
     "s3://b/x", "sha256:0", "t/x\n", "t/\0", "ü", "t/" + "x" * 200, "/".join("t" * 600)],
)  # fmt: skip
async def test_a_name_that_could_lead_elsewhere_is_refused(store: BlobStore, name: str) -> None:
    for asked in (store.get(name), store.find(name), store.forget(name), store.delete(name), store.put(name, b"")):
        with pytest.raises(ArtifactIncompatible, match="cannot name a blob"):
            await asked
    if name:
        with pytest.raises(ArtifactIncompatible, match="cannot name a blob"):
            await store.list_below(f"{name}/")


async def test_what_is_not_what_its_name_says_is_refused_once_and_for_all(stores: Stores) -> None:
    await stores.store.put(named(CONTENT), CONTENT)
    changed = CONTENT[:-1] + b"!"
    stores.tamper(named(CONTENT), changed)

    for _ in range(2):
        with pytest.raises(ArtifactIncompatible, match="is damaged: its content does not have the hash that names it"):
            await stores.other.get(named(CONTENT))

    await stores.store.put(named(CONTENT), CONTENT)  # publishing again repairs it
    assert bytes(await stores.other.get(named(CONTENT))) == CONTENT


async def test_what_is_too_large_is_neither_taken_nor_read(stores: Stores) -> None:
    large = bytes(MAX_BYTES + 1)
    with pytest.raises(ArtifactIncompatible, match="has 20000001 bytes; at most 20000000 are taken"):
        await stores.store.put("large.json", large)
    await stores.store.put(named(large), b"")
    stores.tamper(named(large), large)
    with pytest.raises(ArtifactIncompatible, match="has 20000001 bytes; at most 20000000 are taken"):
        await stores.store.get(named(large))


async def test_several_may_put_and_get_the_same_at_a_time(stores: Stores) -> None:
    async def put_and_get(store: BlobStore) -> bytes:
        await store.put(named(CONTENT), CONTENT)
        return bytes(await store.get(named(CONTENT)))

    assert set(await asyncio.gather(*map(put_and_get, [stores.store, stores.other] * 4))) == {CONTENT}


async def test_a_directory_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    store = LocalBlobStore(file, Marks(None), max_bytes=MAX_BYTES)

    with pytest.raises(NotReady, match="cannot be used"):
        await store.put("a/b.json", b"")
    with pytest.raises(NotReady, match="cannot be used"):
        await store.get("a/b.json")


@pytest.mark.parametrize("mount_point", [True, False], ids=["empty", "missing"])
async def test_a_directory_that_is_not_mounted_is_not_ready_and_one_that_was_never_used_is_made(
    tmp_path: Path, mount_point: bool
) -> None:
    root = tmp_path / "root"
    if mount_point:
        root.mkdir()
    store = LocalBlobStore(root, Marks(None), max_bytes=MAX_BYTES)

    for asked in (store.get(named(CONTENT)), store.find(named(CONTENT))):
        with pytest.raises(ArtifactStoreNotReady, match="has nothing at all: it is not mounted"):
            await asked
    await store.delete(named(CONTENT))
    await store.forget(named(CONTENT))
    assert await store.list_below("t/") == await store.list_below("") == []

    await store.put(named(CONTENT), CONTENT)
    await store.delete(named(CONTENT))
    assert await store.find(named(CONTENT)) is None
    with pytest.raises(NotFound):
        await store.get(named(CONTENT))


async def test_nobody_is_led_out_of_the_directory_by_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "t").symlink_to(outside)
    (root / "link.json").symlink_to(outside / "secret.json")
    store = LocalBlobStore(root, Marks(None), max_bytes=MAX_BYTES)

    for name in ("t/secret.json", "link.json"):
        for asked in (store.get(name), store.find(name), store.put(name, b"changed"), store.delete(name)):
            with pytest.raises(ArtifactIncompatible, match="leads out of the store"):
                await asked
    with pytest.raises(ArtifactIncompatible, match="leads out of the store"):
        await store.list_below("t/")
    assert (outside / "secret.json").read_text() == "secret"


async def test_what_a_killed_process_left_is_not_listed_and_goes_after_a_day(tmp_path: Path) -> None:
    import os

    store = LocalBlobStore(tmp_path, Marks(None), max_bytes=MAX_BYTES)
    young, old = tmp_path / "t" / "young.new", tmp_path / "t" / "old.new"
    young.parent.mkdir()
    for file in (young, old):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))

    await store.put("t/a.json", b"")

    assert [info.name for info in await store.list_below("t/")] == ["t/a.json"]
    assert young.exists()
    assert not old.exists()


async def test_an_object_store_is_asked_once_per_host(s3: str, tmp_path: Path) -> None:
    url = fresh_prefix()
    first, second = (
        ObjectStoreBlobStore(open_s3(url), HostCache(tmp_path / "cache", Marks(None)), max_bytes=MAX_BYTES)
        for _ in range(2)
    )
    await first.put(named(CONTENT), CONTENT)
    assert bytes(await first.get(named(CONTENT))) == CONTENT
    await first.delete(named(CONTENT))

    assert bytes(await second.get(named(CONTENT))) == CONTENT
    cached = tmp_path / "cache" / named(CONTENT).rpartition("/")[2]
    cached.chmod(0o600)
    cached.write_bytes(b"damaged")
    with pytest.raises(NotFound):  # what is damaged in the cache is not believed, but fetched again
        await second.get(named(CONTENT))


async def test_what_the_cache_was_not_asked_for_in_a_week_goes(s3: str, tmp_path: Path) -> None:
    import os
    import time

    cache = tmp_path / "cache"
    store = ObjectStoreBlobStore(open_s3(fresh_prefix()), HostCache(cache, Marks(tmp_path / "m")), max_bytes=MAX_BYTES)
    contents = [b"old", b"used", b"new"]
    for content in contents:
        await store.put(named(content), content)
    week_ago = time.time() - 8 * 86_400
    for content in contents[:2]:
        await store.get(named(content))
        for suffix in (".arrow", ".lock"):
            os.utime((cache / named(content).rpartition("/")[2]).with_suffix(suffix), (week_ago, week_ago))
    await store.get(named(b"used"))

    await store.get(named(b"new"))

    kept = {named(content).rpartition("/")[2] for content in contents[1:]}
    assert {file.name for file in cache.glob("*.arrow")} == kept
    (lock,) = cache.glob("*.lock")  # those of the old ones went, too
    assert lock.stem == named(b"new").rpartition("/")[2].removesuffix(".arrow")


async def test_an_object_store_that_is_gone_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    store = ObjectStoreBlobStore(open_s3("s3://b/p"), HostCache(tmp_path, Marks(None)), max_bytes=MAX_BYTES)

    for asked in (
        store.get("a.json"),
        store.get(named(CONTENT)),
        store.find("a"),
        store.put("a", b""),
        store.delete("a"),
        store.list_below(""),
    ):
        with pytest.raises(NotReady, match="artifact store cannot be used"):
            await asked
