"""A process that asks for a surface's signals as a replica does: ``python -m tests.support.builder <directory>``.

``directory`` is shared by all of them; each notes there that it reads rows, and waits until it is let go on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from recsys.domain.catalogue import Item, SurfaceRows
from recsys.serving.signal_reader import SignalReader
from recsys.serving.signal_source import SignalSource
from recsys.storage.signal_files import MappedSignalFiles

LOAD = "11111111-1111-1111-1111-111111111111"


class SlowStore:
    """The part of a database that is read, slowly."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        (self._directory / f"reads-{os.getpid()}").touch()
        while not (self._directory / "go").exists():
            await asyncio.sleep(0.01)
        items = [Item(item_id=f"i{number}") for number in range(1_000)]
        return SurfaceRows(surface=surface, data_revision=1, load_id=LOAD, items=items, popularity=[], covisits=[])


async def build(directory: Path) -> None:
    """Get the signals, say how many items they have, and keep them until the input ends."""
    files = MappedSignalFiles(directory / "cache", directory / "run")
    store: Any = SlowStore(directory)
    part = await SignalReader(store, files).read("t", "home", SignalSource(1, LOAD))
    print(len(part.signals.ids), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    asyncio.run(build(Path(sys.argv[1])))
