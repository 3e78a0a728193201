"""Blobs as files below one directory of this host, or of one that it has mounted."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from recsys.domain.errors import ArtifactIncompatible, ArtifactStoreNotReady, NotFound
from recsys.domain.ports import BlobInfo
from recsys.storage.blob_names import check_content, check_name, check_prefix, check_size, hash_in
from recsys.storage.whole_file import IN_THE_MAKING, map_file, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys.storage.marks import Marks

T = TypeVar("T")

_ABANDONED_SECONDS: Final = 86_400
_THREADS: Final = 4


class LocalBlobStore:
    """The ``BlobStore`` port over a directory. What a run has hashed is in its ``marks``.

    It has threads of its own: a mount that hangs keeps those that asked it, and must not take everybody else's.
    """

    def __init__(self, root: Path, marks: Marks, *, max_bytes: int) -> None:
        self._root = root
        self._marks = marks
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(_THREADS, "blobs")

    async def put(self, name: str, content: bytes | memoryview) -> None:
        check_size(check_name(name), len(content), self._max_bytes)
        await self._run(self._put, name, content)

    async def get(self, name: str) -> memoryview:
        return await self._run(self._get, check_name(name))

    async def find(self, name: str) -> BlobInfo | None:
        return await self._run(self._find, check_name(name))

    async def list_below(self, prefix: str) -> list[BlobInfo]:
        return await self._run(self._list_below, check_prefix(prefix))

    async def forget(self, name: str) -> None:
        await self._run(self._forget, check_name(name))

    async def delete(self, name: str) -> None:
        await self._run(self._delete, check_name(name))

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _put(self, name: str, content: bytes | memoryview) -> None:
        with self._asking():
            file = self._root / name
            self._confine(name)  # before anything is made there
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._confine(name), [content])
            _remove_abandoned(file.parent)

    def _get(self, name: str) -> memoryview:
        with self._asking():
            file = self._confine(name)
            try:
                identity = self._marks.identity(file)
                content = map_file(file)
            except (FileNotFoundError, NotADirectoryError):
                self._require_mounted()
                raise NotFound(f"The artifact store has no {name}.") from None
            check_size(name, len(content), self._max_bytes)
            if hash_in(name) and not self._marks.known(identity):
                check_content(name, content)
                self._marks.set(identity)
            return content

    def _find(self, name: str) -> BlobInfo | None:
        with self._asking():
            try:
                found = self._confine(name).stat(follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                self._require_mounted()
                return None
            return BlobInfo(name=name, size=found.st_size, modified_at=datetime.fromtimestamp(found.st_mtime, UTC))

    def _list_below(self, prefix: str) -> list[BlobInfo]:
        names = []
        with self._asking():
            top = self._confine(prefix) if prefix else self._root
            for folder, _, files in os.walk(top, onerror=_raise_unless_gone):
                below = Path(folder).relative_to(self._root)
                names += [(below / file).as_posix() for file in files if not file.endswith(IN_THE_MAKING)]
        found = (self._find(name) for name in sorted(names) if _is_name(name))
        return [info for info in found if info is not None]

    def _forget(self, name: str) -> None:
        with self._asking(), suppress(FileNotFoundError, NotADirectoryError):
            self._marks.clear(self._marks.identity(self._confine(name)))

    def _delete(self, name: str) -> None:
        with self._asking():
            self._confine(name).unlink(missing_ok=True)

    def _require_mounted(self) -> None:
        """Tell a blob that is missing from a whole store that is: where a mount should be there is nothing.

        Directories of a store stay when all that was in them is deleted, so one that was ever put to is not empty.
        """
        with suppress(FileNotFoundError):
            if any(self._root.iterdir()):
                return
        raise ArtifactStoreNotReady(
            f"The artifact store {self._root} has nothing at all: it is not mounted, or nobody has stored anything yet."
        )

    def _confine(self, name: str) -> Path:
        """The path of a name. Nothing on the way below the root may be a link, which could lead out of it.

        Raises:
            ArtifactIncompatible: something is.
        """
        path = self._root
        for part in Path(name).parts:
            path /= part
            if path.is_symlink():
                raise ArtifactIncompatible(f"{name} leads out of the store: {path} is a link.")
        return path

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactStoreNotReady(
                f"The artifact store {self._root} cannot be used: {error.strerror or error}."
            ) from error


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except ArtifactIncompatible:
        return False
    return True


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _remove_abandoned(folder: Path) -> None:
    """Remove what a killed process left half-written, a day ago."""
    for file in folder.glob(f"*{IN_THE_MAKING}"):
        with suppress(OSError):
            if file.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                file.unlink()
