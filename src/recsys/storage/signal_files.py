"""Compiled signals in a directory of the host, so that its workers build them once and share their pages."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec

from recsys.domain.ports import SignalKey
from recsys.storage.array_file import ArrayFileRefused, map_arrays, write_arrays
from recsys.storage.host_files import host_lock, sync_directory
from recsys.storage.marks import Marks
from recsys.storage.whole_file import IN_THE_MAKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

    import numpy.typing as npt

    from recsys.domain.ports import Arrays

_log = logging.getLogger(__name__)
_SUFFIX: Final = ".signals"
_KEPT_SECONDS: Final = 86_400.0
_FILE_NAME: Final = re.compile(r"(?P<data_revision>\d+)-(?P<load_id>.+)-(?P<layout>\d+)" + re.escape(_SUFFIX))


class MappedSignalFiles:
    """One file per surface and load, in a directory per surface below one per tenant, with a lock beside it.

    ``marks`` is a directory that lives as long as one run of the service: what stands there under a file's identity
    (inode, size, time) was hashed by a worker of this run, or written by one, and need not be hashed by the others.
    None: every process hashes what it did not write. Both directories belong on a local disk.
    """

    def __init__(self, directory: Path, marks: Path | None) -> None:
        self._directory = directory
        self._marks = Marks(marks)
        self._complained = False

    def find(self, key: SignalKey, *, verify: bool) -> dict[str, npt.NDArray[Any]] | None:
        path = self._path(key)
        try:
            identity = self._marks.identity(path)
            known = self._marks.known(identity)
            if not (known or verify):
                return None
            arrays = map_arrays(path, _facts(key), verify=not known)
            self._marks.set(identity)
        except FileNotFoundError:
            return None
        except ArrayFileRefused as refusal:
            _log.error("%s is removed and built again: %s", path, refusal)
            self.remove(key)
            return None
        except OSError as error:
            self._complain(error)
            return None
        return arrays

    def keep(self, key: SignalKey, arrays: Arrays) -> dict[str, npt.NDArray[Any]] | None:
        path = self._path(key)
        made = path.with_name(f"{uuid4()}{IN_THE_MAKING}")  # of its own, should two ever write at a time
        try:
            self._make_folder(key)
            write_arrays(made, _facts(key), arrays)
            made.replace(path)
            sync_directory(path.parent)
            self._marks.set(self._marks.identity(path))
            self._remove_older(path, key.data_revision)
            return map_arrays(path, _facts(key), verify=False)
        except (OSError, ArrayFileRefused) as error:
            self._complain(error)
            with suppress(OSError):
                made.unlink(missing_ok=True)
            return None

    def remove(self, key: SignalKey) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def kept(self, tenant_id: str, surface: str, layout: int) -> SignalKey | None:
        found: list[tuple[int, SignalKey]] = []
        with suppress(OSError):
            for path in (self._directory / tenant_id / surface).glob(f"*{_SUFFIX}"):
                name = _FILE_NAME.fullmatch(path.name)
                if name is not None and int(name["layout"]) == layout:
                    key = SignalKey(
                        tenant_id=tenant_id,
                        surface=surface,
                        data_revision=int(name["data_revision"]),
                        load_id=name["load_id"],
                        layout=layout,
                    )
                    found.append((path.stat().st_mtime_ns, key))
        return max(found, key=lambda each: each[0])[1] if found else None

    def remove_others(self, keys: Collection[SignalKey]) -> None:
        wanted, long_ago = {self._path(key) for key in keys}, time.time() - _KEPT_SECONDS
        try:
            for path in self._directory.glob(f"*/*/*{_SUFFIX}"):
                # What is newer may be of a load that this replica has not heard of yet.
                if path not in wanted and path.stat().st_mtime < long_ago:
                    path.unlink()
        except OSError as error:
            _log.warning("superseded signals could not be removed: %s", error)

    @asynccontextmanager
    async def building(self, key: SignalKey) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            try:
                folder = await asyncio.to_thread(self._make_folder, key)
                await held.enter_async_context(host_lock(folder / "lock"))
            except OSError as error:
                self._complain(error)
            yield

    def _path(self, key: SignalKey) -> Path:
        name = f"{key.data_revision}-{key.load_id}-{key.layout}{_SUFFIX}"
        return self._directory / key.tenant_id / key.surface / name

    def _make_folder(self, key: SignalKey) -> Path:
        """The directory of a surface. Each level on its own: ``parents`` would be open to others."""
        folder = self._directory / key.tenant_id / key.surface
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _remove_older(self, newest: Path, data_revision: int) -> None:
        """Remove the surface's files of no later data revision; whoever has mapped one keeps its pages."""
        for path in newest.parent.glob(f"*{_SUFFIX}"):
            revision = path.name.partition("-")[0]
            if path != newest and revision.isdecimal() and int(revision) <= data_revision:
                self._marks.clear(self._marks.identity(path))
                path.unlink(missing_ok=True)
        for path in newest.parent.glob(f"*{IN_THE_MAKING}"):  # of workers that were killed
            path.unlink(missing_ok=True)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.error("signals are served from memory, each worker its own copy: %s: %s", self._directory, error)


def _facts(key: SignalKey) -> dict[str, object]:
    return msgspec.structs.asdict(key)
