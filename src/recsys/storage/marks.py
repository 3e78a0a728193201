"""What the processes of one run have found to be whole, so that one of them looks and the others need not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Marks:
    """A directory that lives as long as one run: what stands there under a file's identity was looked at.

    The identity is inode, size and time: a file that was replaced or changed has another. None: nothing is remembered.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def identity(self, file: Path) -> str:
        """What tells the file, as it is now, from all others. Take it before looking. FileNotFoundError, OSError."""
        found = file.stat()
        return f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"

    def known(self, identity: str) -> bool:
        """Whether what has this identity was found to be whole."""
        return self._directory is not None and (self._directory / identity).exists()

    def set(self, identity: str) -> None:
        """Remember that it was. Raises OSError."""
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._directory / identity).touch(0o600)

    def clear(self, identity: str) -> None:
        """Forget it. Raises OSError."""
        if self._directory is not None:
            (self._directory / identity).unlink(missing_ok=True)
