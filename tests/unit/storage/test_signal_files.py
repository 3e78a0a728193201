"""What is kept in the directory, what is given back, and what goes."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recsys.domain.ports import SignalKey
from recsys.storage import signal_files
from recsys.storage.signal_files import MappedSignalFiles

KEY = SignalKey(tenant_id="t", surface="home", data_revision=3, load_id="a", layout=1)
ARRAYS = {"prices": np.array([1.0, 2.0])}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files_of(directory: Path, run: str = "run") -> MappedSignalFiles:
    return MappedSignalFiles(directory, directory.parent / run)


def the_file(directory: Path) -> Path:
    (found,) = directory.rglob("*.signals")
    return found


def change(**facts: object) -> SignalKey:
    return msgspec.structs.replace(KEY, **facts)


def test_what_is_kept_is_found_by_other_workers_of_the_run(directory: Path) -> None:
    kept = files_of(directory).keep(KEY, ARRAYS)
    found = files_of(directory).find(KEY, verify=False)

    assert kept is not None
    assert found is not None
    assert found["prices"].tolist() == kept["prices"].tolist() == [1.0, 2.0]


def test_another_run_looks_before_it_believes(directory: Path) -> None:
    files_of(directory).keep(KEY, ARRAYS)
    restarted = files_of(directory, "another run")

    assert restarted.find(KEY, verify=False) is None
    assert restarted.find(KEY, verify=True) is not None
    assert restarted.find(KEY, verify=False) is not None


def test_without_a_run_every_process_looks(directory: Path) -> None:
    files = MappedSignalFiles(directory, None)
    files.keep(KEY, ARRAYS)

    assert files.find(KEY, verify=False) is None
    assert files.find(KEY, verify=True) is not None


@pytest.mark.parametrize(
    "other",
    [{"data_revision": 4}, {"load_id": "b"}, {"layout": 2}, {"surface": "pdp"}, {"tenant_id": "u"}],
    ids=lambda other: next(iter(other)),
)
def test_nothing_is_found_under_another_key(directory: Path, other: dict[str, object]) -> None:
    files = files_of(directory)
    files.keep(KEY, ARRAYS)

    assert files.find(change(**other), verify=True) is None
    assert files.find(KEY, verify=True) is not None


def test_a_damaged_file_is_logged_and_removed(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    files_of(directory).keep(KEY, ARRAYS)
    path = the_file(directory)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    assert files_of(directory).find(KEY, verify=True) is None
    assert not path.exists()
    assert "is removed and built again" in caplog.text


def test_a_file_renamed_to_another_key_is_not_served(directory: Path) -> None:
    files = files_of(directory)
    files.keep(KEY, ARRAYS)
    path = the_file(directory)
    path.rename(path.with_name(path.name.replace("3-a", "4-b")))

    assert files.find(change(data_revision=4, load_id="b"), verify=True) is None


def test_a_newer_load_takes_the_place_of_older_ones_and_of_what_killed_workers_left(directory: Path) -> None:
    files = files_of(directory)
    old = files.keep(KEY, ARRAYS)
    (the_file(directory).parent / "left.new").write_bytes(b"half")
    files.keep(change(surface="pdp"), ARRAYS)
    files.keep(change(load_id="restored"), ARRAYS)
    newer = change(data_revision=12, load_id="b")
    files.keep(newer, ARRAYS)
    assert files.find(change(load_id="restored"), verify=False) is not None  # until the newer one is on the disk
    files.settle(newer)

    assert old is not None
    assert old["prices"].tolist() == [1.0, 2.0]  # whoever has mapped it, keeps it
    assert sorted(path.name for path in directory.rglob("*.*")) == ["12-b-1.signals", "3-a-1.signals"]
    assert files.find(change(surface="pdp"), verify=False) is not None
    assert len(list((directory.parent / "run").iterdir())) == 2  # marks go with their files


def test_others_cannot_look_into_the_directories(directory: Path) -> None:
    files_of(directory).keep(KEY, ARRAYS)

    for path in [directory, *directory.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_a_full_disk_is_said_once_and_leaves_nothing_behind(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(signal_files, "write_arrays", full)
    files = files_of(directory)

    assert files.keep(KEY, ARRAYS) is None
    assert files.keep(KEY, ARRAYS) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert not list(directory.rglob("*.*"))


async def test_a_directory_that_cannot_be_is_as_if_nothing_were_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    files = MappedSignalFiles(tmp_path / "file", None)

    async with files.building(KEY):
        assert files.find(KEY, verify=True) is None
        assert files.keep(KEY, ARRAYS) is None
        files.remove(KEY)
    assert len(caplog.records) == 1


async def test_one_builds_at_a_time_and_surfaces_do_not_wait_for_each_other(directory: Path) -> None:
    one, other = files_of(directory), files_of(directory)
    async with one.building(KEY):
        async with asyncio.timeout(5), other.building(change(surface="pdp")):
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), other.building(change(data_revision=9)):
                pass
    async with asyncio.timeout(5), other.building(KEY):
        pass


def test_the_latest_that_was_kept_of_a_surface_is_known_without_its_key(directory: Path) -> None:
    files = files_of(directory)
    assert files.kept("t", "home", 1) == []
    load_id = "11111111-2222-4333-8444-555555555555"
    files.keep(change(data_revision=9), ARRAYS)
    age(the_file(directory), seconds=60)
    files.keep(change(load_id=load_id), ARRAYS)  # of a database that was restored: a lower data revision

    assert files.kept("t", "home", 1) == [change(load_id=load_id), change(data_revision=9)]
    assert files.kept("t", "home", 2) == []
    assert files.kept("t", "pdp", 1) == []


def test_the_last_manifests_of_a_surface_are_kept_beside_its_load(directory: Path) -> None:
    files = files_of(directory)
    published = [change(data_revision=0, load_id="", manifest_version=digit * 64) for digit in "abcd"]
    files.keep(KEY, ARRAYS)
    for key in published:
        for path in directory.rglob("*.signals"):
            age(path, seconds=time.time() - path.stat().st_mtime + 60)
        files.keep(key, ARRAYS)
        files.settle(key)

    assert files.kept("t", "home", 1) == [*published[:0:-1], KEY]
    found = [files.find(key, verify=True) is not None for key in (KEY, *published)]
    assert found == [True, False, True, True, True]


def test_artifacts_that_are_read_again_take_the_place_of_what_they_were(directory: Path) -> None:
    files = files_of(directory)
    first = change(manifest_version="a" * 64, load_id="", data_revision=0)
    again = msgspec.structs.replace(first, read_again=4)
    files.keep(first, ARRAYS)
    files.keep(again, ARRAYS)
    files.settle(again)
    files.settle(first)  # too late

    assert files.kept("t", "home", 1) == [again]


def test_what_a_rollback_of_a_manifest_goes_back_to_outlasts_a_day(directory: Path) -> None:
    files = files_of(directory)
    current, before = (change(manifest_version=digit * 64) for digit in "ab")
    for key in (current, before):
        files.keep(key, ARRAYS)
    for path in directory.rglob("*.signals"):
        age(path, seconds=86_401)

    files.remove_others({current})
    assert files.find(before, verify=True) is not None

    files.remove_others({KEY})
    assert files.find(before, verify=True) is None


def test_what_nobody_needs_any_more_goes_after_a_day(directory: Path) -> None:
    files = files_of(directory)
    needed, dropped, young = KEY, change(tenant_id="gone"), change(surface="new")
    for key in (needed, dropped):
        files.keep(key, ARRAYS)
    for path in directory.rglob("*.signals"):
        age(path, seconds=86_401)
    files.keep(young, ARRAYS)

    files.remove_others({needed})

    assert [files.find(key, verify=True) is not None for key in (needed, dropped, young)] == [True, False, True]


def age(path: Path, *, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))
