"""Files that the processes of a host share: locks, and entries that survive a power failure."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LOCK_POLL_SECONDS: Final = 0.02


@asynccontextmanager
async def host_lock(file: Path) -> AsyncIterator[None]:
    """Hold the lock of a file, which is made if need be, for as long as the block lasts. A killed process loses it.

    Raises:
        OSError: the file cannot be opened.
    """
    held = False
    while not held:
        descriptor = await asyncio.to_thread(os.open, file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Asked for again and again: a thread that waits in the kernel can neither be cancelled nor lent to others.
            while not try_lock(descriptor):  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(_LOCK_POLL_SECONDS)
            held = _is_at(descriptor, file)  # else it was removed meanwhile, and others lock what came in its place
            if held:
                yield
        finally:
            os.close(descriptor)  # gives the lock back


def remove_lock(file: Path) -> None:
    """Remove the file of a lock that nobody holds; who waits for it notices. Raises FileNotFoundError, OSError."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        if try_lock(descriptor) and _is_at(descriptor, file):
            file.unlink()
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether this process has the lock of an open file now; it is given back when the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def sync_directory(directory: Path) -> None:
    """Wait until the directory's entries are on the disk."""
    sync_file(directory)


def sync_file(file: Path) -> None:
    """Wait until what was written to a file is on the disk. Raises FileNotFoundError, OSError."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
