"""Files of lines: ``<kind>/<tenant id>/<UTC day>/<name of this process>-<number>.jsonl``.

A file has one writer, which never goes on in another's: what a killed process left half-written stays the end of its
file, where a missing newline shows it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".jsonl"
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class LogFiles:
    """Appends lines. A file that has reached ``file_bytes`` is followed by the next number."""

    def __init__(self, root: Path, file_bytes: int) -> None:
        self._root = root
        self._file_bytes = file_bytes
        self._name = secrets.token_hex(8)
        self._numbers: dict[Path, int] = {}

    def append(self, kind: str, tenant_id: str, day: date, lines: bytes, *, durable: bool = False) -> None:
        """Write whole lines; ``durable``: and have the device confirm them.

        The file is opened for every write, so that one which somebody has removed is never written to unseen, and the
        number of tenants is not bounded by that of open files.

        Raises:
            OSError: the lines are not there, not even in part unless the file could not be cut back either.
        """
        folder = self._root / kind / tenant_id / day.isoformat()
        descriptor = self._open(folder)
        try:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, lines)
                if durable:
                    os.fsync(descriptor)
            except OSError as error:
                self._take_back(folder, descriptor, size, error)
                raise
        finally:
            os.close(descriptor)
        if durable and size == 0:
            _sync_folders(folder, self._root)

    def prune(self, before: date) -> None:
        """Remove the files of the days before; other files stay, and so do their folders."""
        for folder, day in self._days():
            if day >= before:
                continue
            with contextlib.suppress(FileNotFoundError):  # another worker was faster
                for file in folder.glob(f"*{SUFFIX}"):
                    file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._numbers = {folder: number for folder, number in self._numbers.items() if folder.is_dir()}

    def _open(self, folder: Path) -> int:
        """The current file of a folder, which is not full yet."""
        while True:
            path = folder / f"{self._name}-{self._numbers.get(folder, 0):04}{SUFFIX}"
            try:
                descriptor = os.open(path, _FLAGS, 0o640)
            except FileNotFoundError:
                folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, _FLAGS, 0o640)
            if os.fstat(descriptor).st_size < self._file_bytes:
                return descriptor
            os.close(descriptor)
            self._numbers[folder] = self._numbers.get(folder, 0) + 1

    def _take_back(self, folder: Path, descriptor: int, size: int, error: OSError) -> None:
        """Cut a failed write off, so that no line stands in parts; else the next write takes the next file."""
        try:
            os.ftruncate(descriptor, size)
        except OSError:
            size = -1
        if size < 0 or (error.errno == errno.EFBIG and size > 0):
            self._numbers[folder] = self._numbers.get(folder, 0) + 1

    def _days(self) -> Iterator[tuple[Path, date]]:
        for folder in self._root.glob("*/*/????-??-??"):
            with contextlib.suppress(ValueError):
                yield folder, date.fromisoformat(folder.name)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folders(folder: Path, root: Path) -> None:
    """Make the name of a new file as durable as its content, and those of the folders on the way to it."""
    for each in (folder, *folder.parents):
        descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if each == root.parent:
            return
