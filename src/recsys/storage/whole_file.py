"""Files that are there as a whole or not at all, and views of them."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from recsys.storage.host_files import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

IN_THE_MAKING: Final = ".new"


def write_whole(file: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file, or put it in place of another, and wait until that is on the disk. Its directory is there.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    made = file.with_name(f"{uuid4()}{IN_THE_MAKING}")  # of its own, should two ever write at a time
    try:
        with made.open("xb") as out:
            for part in parts:
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
        made.replace(file)
        sync_directory(file.parent)
    except BaseException:
        with suppress(OSError):
            made.unlink(missing_ok=True)
        raise


def map_file(file: Path) -> memoryview:
    """The pages of a file, read-only; they stay when it is removed. Raises FileNotFoundError, OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)
