"""Signals come from what the host keeps when it is exactly what the database says, and else from the database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.domain.errors import NotReady
from recsys.ranking.signal_arrays import to_arrays
from recsys.serving import signal_reader
from recsys.serving.signal_reader import SignalReader
from recsys.serving.signal_source import SignalSource
from recsys.serving.snapshot import SignalPart
from recsys.storage.signal_files import MappedSignalFiles
from tests.support.surfaces import item, rows
from tests.unit.serving.fake_store import FakeServingStore

TENANT = "id-one"


class CountingStore(FakeServingStore):
    """Counts how often rows are read."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_read = 0
        self.add_tenant("one")

    def restore(self, data_revision: int, load_id: str | None, *names: str) -> None:
        self.rows[TENANT, "home"] = rows([item(name) for name in names], data_revision=data_revision, load_id=load_id)

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> Any:
        self.rows_read += 1
        return await super().surface_rows(tenant_id, surface, items_only=items_only)

    def source(self) -> SignalSource:
        found = self.rows[TENANT, "home"]
        return SignalSource(found.data_revision, found.load_id)

    async def read(self, files: MappedSignalFiles | None, source: SignalSource | None = None) -> SignalPart:
        return await SignalReader(self, files).read(TENANT, "home", source or self.source())


@pytest.fixture
def store() -> CountingStore:
    store = CountingStore()
    store.restore(1, "first", "a", "b")
    return store


@pytest.fixture
def files(tmp_path: Path) -> MappedSignalFiles:
    return MappedSignalFiles(tmp_path / "cache", tmp_path / "run")


def names(part: SignalPart) -> list[str]:
    return list(part.signals.ids)


async def test_rows_are_read_once_by_all_replicas_of_a_host(store: CountingStore, files: MappedSignalFiles) -> None:
    first, *others = await asyncio.gather(*(store.read(files) for _ in range(5)))

    assert store.rows_read == 1
    for part in others:
        assert names(part) == names(first) == ["a", "b"]
        assert part.source == SignalSource(1, "first")


async def test_mapped_signals_are_those_of_the_rows(store: CountingStore, files: MappedSignalFiles) -> None:
    await store.read(files)
    mapped, made = to_arrays((await store.read(files)).signals), to_arrays((await store.read(None)).signals)

    assert {name: array.tobytes() for name, array in mapped.items()} == {
        name: array.tobytes() for name, array in made.items()
    }


async def test_a_newer_load_is_read_and_kept(store: CountingStore, files: MappedSignalFiles) -> None:
    await store.read(files)
    store.restore(2, "second", "z")

    assert names(await store.read(files)) == ["z"]
    assert names(await store.read(files)) == ["z"]
    assert store.rows_read == 2


async def test_a_restored_database_is_not_answered_with_what_another_load_left(
    store: CountingStore, files: MappedSignalFiles
) -> None:
    await store.read(files)
    store.restore(1, "another", "z")

    assert names(await store.read(files)) == ["z"]


async def test_a_load_without_a_name_is_never_shared(store: CountingStore, files: MappedSignalFiles) -> None:
    store.restore(1, None, "a")
    await store.read(files)
    store.restore(1, None, "z")

    assert names(await store.read(files)) == ["z"]
    assert store.rows_read == 2


async def test_rows_newer_than_what_was_asked_for_are_kept_as_what_they_are(
    store: CountingStore, files: MappedSignalFiles
) -> None:
    old = store.source()
    store.restore(2, "second", "z")

    part = await store.read(files, old)
    assert (names(part), part.source) == (["z"], SignalSource(2, "second"))
    assert names(await store.read(files)) == ["z"]
    assert store.rows_read == 1


async def test_a_damaged_file_is_built_again(store: CountingStore, files: MappedSignalFiles, tmp_path: Path) -> None:
    await store.read(files)
    (path,) = tmp_path.rglob("*.signals")
    path.write_bytes(path.read_bytes()[:-1])

    assert names(await store.read(files)) == ["a", "b"]
    assert store.rows_read == 2


@pytest.mark.parametrize("wrong", [{"prices": None}, {"cooc.values": np.zeros(0, np.int64)}], ids=["missing", "dtype"])
async def test_arrays_that_are_not_what_they_should_be_are_built_again(
    store: CountingStore, files: MappedSignalFiles, wrong: dict[str, Any]
) -> None:
    part = await store.read(None)
    arrays = {name: array for name, array in (to_arrays(part.signals) | wrong).items() if array is not None}
    key = store.source().key(TENANT, "home")
    assert key is not None
    files.keep(key, arrays)

    assert names(await store.read(files)) == ["a", "b"]
    assert names(await store.read(files)) == ["a", "b"]
    assert store.rows_read == 2


async def test_without_a_place_to_keep_them_signals_are_served_from_memory(
    store: CountingStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")

    assert names(await store.read(MappedSignalFiles(tmp_path / "file", None))) == ["a", "b"]


async def test_who_cannot_read_the_rows_lets_the_next_one_try(store: CountingStore, files: MappedSignalFiles) -> None:
    store.gone = True
    with pytest.raises(NotReady):
        await store.read(files)
    store.gone = False

    async with asyncio.timeout(5):
        assert names(await store.read(files)) == ["a", "b"]


@pytest.mark.parametrize(("large", "held_back"), [(2, 1), (3, 0)])
async def test_only_a_large_surface_is_held_back_so_that_not_everybody_reads_it_at_once(
    store: CountingStore, files: MappedSignalFiles, monkeypatch: pytest.MonkeyPatch, large: int, held_back: int
) -> None:
    monkeypatch.setattr(signal_reader, "_LARGE", large)
    drawn: list[float] = []

    def draw() -> float:
        drawn.append(0.0)
        return 0.0

    reader = SignalReader(store, files, draw)
    held = await reader.read(TENANT, "home", store.source(), None)
    assert drawn == [], "the first time there is nothing to serve meanwhile"
    await reader.read(TENANT, "home", store.source(), held)
    assert drawn == [], "what is kept already is mapped at once"
    store.restore(2, "second", "z")
    await reader.read(TENANT, "home", store.source(), held)
    assert len(drawn) == held_back
