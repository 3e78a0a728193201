"""Where a surface's signals come from: pages shared by the replicas of a host, or else the database."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from recsys.domain.config import Config, resolve
from recsys.domain.ports import SignalKey
from recsys.ranking.signal_arrays import LAYOUT, from_arrays, to_arrays
from recsys.serving.background import Background
from recsys.serving.snapshot import SignalPart, build_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.domain.catalogue import SurfaceRows
    from recsys.domain.ports import ServingStore, SignalFiles, TenantHead

_log = logging.getLogger(__name__)
_LARGE = 20_000
"""So many items make the reading of a surface take a second or more."""


class SignalReader:
    """Gets the signals of surfaces, compiled once per host where ``files`` are given, else by every replica.

    Only one replica of a host at a time reads a surface's rows; the others wait for what it keeps and map that. A load
    without a name is never shared: nothing would tell it from another of the same data revision.

    ``jitter_s`` draws how long to hold back before a large surface is read, so that not all hosts do it at once.
    """

    def __init__(self, store: ServingStore, files: SignalFiles | None, jitter_s: Callable[[], float] = float) -> None:
        self._store = store
        self._files = files
        self._jitter_s = jitter_s
        self._background = Background()

    async def read(self, head: TenantHead, surface: str, held: SignalPart | None = None) -> SignalPart:
        """The surface's signals as of ``head`` or later; ``held``: those that are served now. Raises NotReady."""
        files, tenant_id, load_id = self._files, head.tenant.id, head.load_ids.get(surface)
        if files is None or load_id is None:
            await self._give_way(held)
            rows = await self._store.surface_rows(tenant_id, surface)
            return await self._background.run(_build, tenant_id, rows, files)
        key = _key(tenant_id, surface, head.surfaces[surface], load_id)
        if part := await self._background.run(_find, files, key, False):
            return part
        await self._give_way(held)
        async with files.building(key):
            if part := await self._background.run(_find, files, key, True):
                return part
            rows = await self._store.surface_rows(tenant_id, surface)
            return await self._background.run(_build, tenant_id, rows, files)

    async def _give_way(self, held: SignalPart | None) -> None:
        """Do not read a large surface in the same moment as everybody else who was told of it; small ones are quick."""
        if held is not None and len(held.signals.ids) >= _LARGE:
            await asyncio.sleep(self._jitter_s())

    async def rank_popularity(self, part: SignalPart, config: Config | None) -> None:
        """Order the surface by popularity ahead, so that composing it anew is quick."""
        settings = resolve(config or Config(), part.signals.surface)
        await self._background.run(part.popularity, settings.popularity.half_life_days)

    def close(self) -> None:
        """Begin nothing any more."""
        self._background.close()


def _key(tenant_id: str, surface: str, data_revision: int, load_id: str) -> SignalKey:
    return SignalKey(tenant_id=tenant_id, surface=surface, data_revision=data_revision, load_id=load_id, layout=LAYOUT)


def _find(files: SignalFiles, key: SignalKey, verify: bool) -> SignalPart | None:  # noqa: FBT001 - threads take no names
    arrays = files.find(key, verify=verify)
    if arrays is None:
        return None
    try:
        return SignalPart(from_arrays(arrays), key.load_id)
    except (LookupError, TypeError, ValueError):
        _log.exception("kept signals do not have the arrays of their layout: %s", key)
        files.remove(key)
        return None


def _build(tenant_id: str, rows: SurfaceRows, files: SignalFiles | None) -> SignalPart:
    """Compile the rows, which may be newer than what was asked for, and keep them under their own key."""
    part = build_part(rows)
    if files is not None and rows.load_id is not None:
        key = _key(tenant_id, rows.surface, rows.data_revision, rows.load_id)
        arrays = files.keep(key, to_arrays(part.signals))
        if arrays is not None:
            part = SignalPart(from_arrays(arrays), rows.load_id)
    return part
