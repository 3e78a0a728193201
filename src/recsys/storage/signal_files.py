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
from recsys.storage.host_files import host_lock, sync_directory, sync_file
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
_OF_MANIFEST: Final = "manifest-"
_MANIFESTS_KEPT: Final = 3
"""Files of so many manifests of a surface: the one that is served, and those before it, to go back to at once."""
_FILE_NAME: Final = re.compile(
    r"(?:manifest-(?P<manifest_version>[0-9a-f]{64})-(?P<read_again>\d+)-)?"
    r"(?P<data_revision>\d+)-(?P<load_id>.*)-(?P<layout>\d+)" + re.escape(_SUFFIX)
)


class MappedSignalFiles:
    """One file per surface and load or manifest, in a directory per surface below one per tenant; a lock beside it.

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
            for abandoned in path.parent.glob(f"*{IN_THE_MAKING}"):  # by workers that were killed
                abandoned.unlink(missing_ok=True)
            write_arrays(made, _facts(key), arrays)
            made.replace(path)
            self._marks.set(self._marks.identity(path))
            return map_arrays(path, _facts(key), verify=False)
        except (OSError, ArrayFileRefused) as error:
            self._complain(error)
            with suppress(OSError):
                made.unlink(missing_ok=True)
            return None

    def settle(self, key: SignalKey) -> None:
        path = self._path(key)
        try:
            sync_file(path)
            sync_directory(path.parent)
            self._remove_older(path, key)
        except FileNotFoundError:  # superseded already
            return
        except OSError as error:
            self._complain(error)

    def remove(self, key: SignalKey) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def kept(self, tenant_id: str, surface: str, layout: int) -> list[SignalKey]:
        found = self._in(self._directory / tenant_id / surface)
        return [key for _, key in found if key.layout == layout]

    def remove_others(self, keys: Collection[SignalKey]) -> None:
        wanted, long_ago = {self._path(key) for key in keys}, time.time() - _KEPT_SECONDS
        on_manifests = {self._path(key).parent for key in keys if key.manifest_version is not None}
        try:
            for path in self._directory.glob(f"*/*/*{_SUFFIX}"):
                if path in wanted or (path.parent in on_manifests and path.name.startswith(_OF_MANIFEST)):
                    continue
                # What is newer may be of a load that this replica has not heard of yet.
                if path.stat().st_mtime < long_ago:
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
        if key.manifest_version is not None:
            name = f"{_OF_MANIFEST}{key.manifest_version}-{key.read_again}-{name}"
        return self._directory / key.tenant_id / key.surface / name

    def _in(self, folder: Path) -> list[tuple[Path, SignalKey]]:
        """The files of a surface, the latest first."""
        found: list[tuple[int, Path, SignalKey]] = []
        with suppress(OSError):
            for path in folder.glob(f"*{_SUFFIX}"):
                key = _read_name(path)
                found += [(path.stat().st_mtime_ns, path, key)] if key is not None else []
        return [(path, key) for _, path, key in sorted(found, key=lambda each: each[0], reverse=True)]

    def _make_folder(self, key: SignalKey) -> Path:
        """The directory of a surface. Each level on its own: ``parents`` would be open to others."""
        folder = self._directory / key.tenant_id / key.surface
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _remove_older(self, newest: Path, mine: SignalKey) -> None:
        """Remove what a new file takes the place of; whoever has mapped it keeps its pages.

        That is what is no later of the same manifest, or of tables alone, and what is of too old a manifest.
        """
        latest = [mine.manifest_version]
        for path, key in self._in(newest.parent):
            if key.manifest_version == mine.manifest_version:
                superseded = (key.read_again, key.data_revision) <= (mine.read_again, mine.data_revision)
            elif key.manifest_version is None:
                superseded = False
            else:
                latest += [key.manifest_version] if key.manifest_version not in latest else []
                superseded = latest.index(key.manifest_version) >= _MANIFESTS_KEPT
            if path != newest and superseded:
                with suppress(FileNotFoundError):
                    self._marks.clear(self._marks.identity(path))
                    path.unlink()

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.error("signals are served from memory, each worker its own copy: %s: %s", self._directory, error)


def _read_name(path: Path) -> SignalKey | None:
    """The key of a file; None for one that is not ours."""
    name = _FILE_NAME.fullmatch(path.name)
    if name is None:
        return None
    return SignalKey(
        tenant_id=path.parent.parent.name,
        surface=path.parent.name,
        data_revision=int(name["data_revision"]),
        load_id=name["load_id"],
        layout=int(name["layout"]),
        manifest_version=name["manifest_version"],
        read_again=int(name["read_again"] or 0),
    )


def _facts(key: SignalKey) -> dict[str, object]:
    return msgspec.structs.asdict(key)
