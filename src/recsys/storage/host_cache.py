"""What was fetched from elsewhere, kept where the processes of a host share it; named by its hash."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from recsys.domain.artifact import BLOB_SUFFIX
from recsys.domain.errors import ArtifactIncompatible, ArtifactStoreNotReady
from recsys.storage.blob_names import check_content
from recsys.storage.host_files import host_lock, remove_lock, sync_directory
from recsys.storage.whole_file import IN_THE_MAKING, map_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from recsys.storage.marks import Marks

_log = logging.getLogger(__name__)
_LOCK_SUFFIX: Final = ".lock"
_DAY_SECONDS: Final = 86_400
_UNUSED_SECONDS: Final = 7 * _DAY_SECONDS


class HostCache:
    """Files in a directory of its own, on a local disk. One process of the host fetches, the others wait and map.

    A file is hashed before the first process of a run believes it. One that nobody has asked for in a week is removed
    when another is fetched; whoever has mapped it keeps its pages.
    """

    def __init__(self, directory: Path, marks: Marks) -> None:
        self._directory = directory
        self._marks = marks

    async def get(self, name: str, sha256: str, fetch: Callable[[], AsyncIterator[Any]]) -> memoryview:
        """The content with this hash, from the cache or from ``fetch``, which gives it in parts.

        Raises:
            ArtifactIncompatible: what was fetched under ``name`` has another hash.
            NotReady: the cache cannot be written. What ``fetch`` raises.
        """
        try:
            await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
            async with host_lock(self._directory / f"{sha256}{_LOCK_SUFFIX}"):
                file = self._directory / f"{sha256}{BLOB_SUFFIX}"
                content = await asyncio.to_thread(self._believed, file)
                if content is None:
                    content = await self._fetched(name, file, fetch())
                return content
        except OSError as error:
            raise ArtifactStoreNotReady(
                f"The cache {self._directory} cannot be used: {error.strerror or error}."
            ) from error

    async def forget(self, sha256: str) -> None:
        """Look at what is kept under this hash again before it is believed. Raises NotReady."""
        try:
            await asyncio.to_thread(self._forget, self._directory / f"{sha256}{BLOB_SUFFIX}")
        except OSError as error:
            raise ArtifactStoreNotReady(
                f"The cache {self._directory} cannot be used: {error.strerror or error}."
            ) from error

    def _forget(self, file: Path) -> None:
        with suppress(FileNotFoundError):
            self._marks.clear(self._marks.identity(file))

    def _believed(self, file: Path) -> memoryview | None:
        try:
            identity = self._marks.identity(file)
            content = map_file(file)
            known = self._marks.known(identity)
            if not known:
                check_content(file.name, content)
            if not known or file.stat().st_mtime < time.time() - _DAY_SECONDS:
                self._marks.clear(identity)
                os.utime(file)  # it is in use
                self._marks.set(self._marks.identity(file))
        except FileNotFoundError:
            return None
        except ArtifactIncompatible as refusal:
            _log.error("%s is fetched again: %s", file, refusal)
            file.unlink(missing_ok=True)
            return None
        return content

    async def _fetched(self, name: str, file: Path, parts: AsyncIterator[Any]) -> memoryview:
        made = file.with_name(f"{uuid4()}{IN_THE_MAKING}")
        try:
            with made.open("xb") as out:
                async for part in parts:
                    await asyncio.to_thread(out.write, part)
                await asyncio.to_thread(os.fsync, out.fileno())
            content = await asyncio.to_thread(map_file, made)
            await asyncio.to_thread(check_content, f"{name.rpartition('/')[0]}/{file.name}", content)
            await asyncio.to_thread(self._keep, made, file)
        except BaseException:
            with suppress(OSError):
                made.unlink(missing_ok=True)
            raise
        return content

    def _keep(self, made: Path, file: Path) -> None:
        made.replace(file)
        sync_directory(self._directory)
        self._marks.set(self._marks.identity(file))
        long_ago = time.time() - _UNUSED_SECONDS
        for other in self._directory.iterdir():
            with suppress(OSError):
                if other.stat().st_mtime > long_ago:
                    continue
                if other.suffix == _LOCK_SUFFIX:
                    remove_lock(other)
                elif other.suffix in (BLOB_SUFFIX, IN_THE_MAKING):
                    other.unlink()
