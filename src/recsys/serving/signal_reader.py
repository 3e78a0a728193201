"""Where a surface's signals come from: pages shared by the replicas of a host, else the database and the artifacts."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.domain.config import Config, resolve
from recsys.ranking.signal_arrays import LAYOUT, from_arrays, to_arrays
from recsys.serving.artifact_reader import ArtifactReader
from recsys.serving.background import Background
from recsys.serving.signal_source import SignalSource
from recsys.serving.snapshot import SignalPart, build_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recsys.artifacts.codec import Artifact
    from recsys.domain.catalogue import SurfaceRows
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import BlobStore, ServingStore, SignalFiles, SignalKey

_log = logging.getLogger(__name__)
_LARGE = 20_000
"""So many items make the reading of a surface take a second or more."""


@dataclass(frozen=True, slots=True)
class Material:
    """What was read of a surface. ``rows``: None where none take part."""

    tenant_id: str
    surface: str
    source: SignalSource
    artifacts: Mapping[ArtifactKind, Artifact]
    rows: SurfaceRows | None

    def build(self) -> SignalPart:
        """Turn it into signals; seconds of work for a large surface, so not for the event loop."""
        if self.source.manifest is None and self.rows is not None:
            return build_part(self.rows)
        from recsys.serving.artifact_signals import build_from_artifacts  # noqa: PLC0415 - it takes an extra

        source = self.source.read_from(self.rows) if self.rows is not None else self.source
        return SignalPart(build_from_artifacts(self.surface, self.artifacts, self.rows), source)


class SignalReader:
    """Gets the signals of surfaces, compiled once per host where ``files`` are given, else by every replica.

    Only one replica of a host at a time reads a surface; the others wait for what it keeps and map that. A load without
    a name is never shared: nothing would tell it from another of the same data revision.

    ``jitter_s`` draws how long to hold back before a large surface is read, so that not all hosts do it at once.
    """

    def __init__(
        self,
        store: ServingStore,
        files: SignalFiles | None,
        jitter_s: Callable[[], float] = float,
        blobs: BlobStore | None = None,
    ) -> None:
        self._store = store
        self._files = files
        self._jitter_s = jitter_s
        self._background = Background()
        self._artifacts = ArtifactReader(blobs, self._background)

    async def read(
        self, tenant_id: str, surface: str, source: SignalSource, held: SignalPart | None = None
    ) -> SignalPart:
        """A surface's signals from ``source``, or from a later load of its rows; ``held``: those that are served now.

        Raises:
            NotReady: the database or the artifact store cannot be reached.
            ManifestRefused: an artifact cannot be served.
        """
        files, key = self._files, source.key(tenant_id, surface)
        if files is None or key is None:
            await self._give_way(held)
            return await self._make(tenant_id, surface, source, None)
        if part := await self._background.run(_find, files, key, source, False):
            return part
        await self._give_way(held)
        async with files.building(key):
            if part := await self._background.run(_find, files, key, source, True):
                return part
            part = await self._make(tenant_id, surface, source, files)
        if kept := part.source.key(tenant_id, surface):
            self._background.start(files.settle, kept)  # nobody is kept waiting for the disk
        return part

    async def last_good(self, tenant_id: str, surface: str) -> SignalPart | None:
        """What the host keeps of an earlier state of a surface, for want of anything else; None: nothing."""
        if (files := self._files) is None:
            return None
        for key in await self._background.run(files.kept, tenant_id, surface, LAYOUT):
            earlier = SignalSource(key.data_revision, key.load_id or None, key.manifest_version, key.read_again)
            if part := await self._background.run(_find, files, key, earlier, True):
                return part
        return None

    async def rank_popularity(self, part: SignalPart, config: Config | None) -> None:
        """Order the surface by popularity ahead, so that composing it anew is quick."""
        settings = resolve(config or Config(), part.signals.surface)
        await self._background.run(part.popularity, settings.popularity.half_life_days)

    def close(self) -> None:
        """Begin nothing any more."""
        self._background.close()

    async def _make(self, tenant_id: str, surface: str, source: SignalSource, files: SignalFiles | None) -> SignalPart:
        artifacts = await self._artifacts.read(tenant_id, surface, source)
        rows = None
        if source.reads_rows:
            rows = await self._store.surface_rows(tenant_id, surface, items_only=source.manifest is not None)
        material = Material(tenant_id, surface, source, artifacts, rows)
        return await self._background.run(_build, material, files)

    async def _give_way(self, held: SignalPart | None) -> None:
        """Do not read a large surface in the same moment as everybody else who was told of it; small ones are quick."""
        if held is not None and len(held.signals.ids) >= _LARGE:
            await asyncio.sleep(self._jitter_s())


def _find(files: SignalFiles, key: SignalKey, source: SignalSource, verify: bool) -> SignalPart | None:  # noqa: FBT001 - threads take no names
    arrays = files.find(key, verify=verify)
    if arrays is None:
        return None
    try:
        return SignalPart(from_arrays(arrays), source)
    except (LookupError, TypeError, ValueError):
        _log.exception("kept signals do not have the arrays of their layout: %s", key)
        files.remove(key)
        return None


def _build(material: Material, files: SignalFiles | None) -> SignalPart:
    """Compile what was read, of which rows may be newer than asked for, and keep it under its own key."""
    part = material.build()
    key = part.source.key(material.tenant_id, material.surface)
    if files is not None and key is not None and (arrays := files.keep(key, to_arrays(part.signals))) is not None:
        part = SignalPart(from_arrays(arrays), part.source)
    return part
