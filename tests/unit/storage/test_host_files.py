"""Locks that the processes of a host share: one at a time, also while their files are tidied away."""

import asyncio
from pathlib import Path

import pytest

from recsys.storage.host_files import host_lock, remove_lock


async def test_a_lock_is_held_by_one_at_a_time_while_somebody_removes_its_file(tmp_path: Path) -> None:
    file, inside, most, removed = tmp_path / "a.lock", 0, 0, 0

    async def hold() -> None:
        nonlocal inside, most
        async with host_lock(file):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    async def remove() -> None:
        nonlocal removed
        while True:
            if file.exists():
                remove_lock(file)
                removed += not file.exists()
            await asyncio.sleep(0.005)

    removing = asyncio.create_task(remove())
    await asyncio.gather(*(hold() for _ in range(40)))
    removing.cancel()
    assert most == 1
    assert removed


async def test_a_lock_that_is_held_is_not_removed(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    async with host_lock(file):
        remove_lock(file)
        assert file.exists()
    remove_lock(file)
    assert not file.exists()


async def test_who_waited_for_a_lock_that_was_removed_waits_for_the_one_in_its_place(tmp_path: Path) -> None:
    file, reached = tmp_path / "a.lock", asyncio.Event()

    async def wait() -> None:
        async with host_lock(file):
            reached.set()

    first = host_lock(file)
    await first.__aenter__()
    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0.05)
    file.unlink()
    async with host_lock(file):  # another file by the same name, and so another lock
        await first.__aexit__(None, None, None)
        await asyncio.sleep(0.05)
        assert not reached.is_set()
    async with asyncio.timeout(5):
        await waiting


async def test_a_lock_without_its_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        async with host_lock(tmp_path / "gone" / "a.lock"):
            pass
