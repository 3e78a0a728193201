"""What a demo's database is filled with, through the same endpoints that anybody loads data with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from recsys.demo import showcase
from recsys.demo.place import TENANT, DemoFailed, Place
from recsys.demo.showcase import DataMode

if TYPE_CHECKING:
    from recsys.demo.retail import RetailFiles

OpenApp = Callable[[str], AbstractAsyncContextManager[httpx.AsyncClient]]
"""Opens the application in this process, on a database URL; who asks is the person at the keyboard."""
Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

_ADMIN = f"/v1/admin/tenants/{TENANT}"
_REASON = {"X-Change-Reason": "the demo is built"}


async def fill(place: Place, files: RetailFiles, mode: DataMode, open_app: OpenApp, tell: Tell) -> None:
    """Make the database, and the tenant with its items, its config and its rules; in ``tables``, its signals too.

    Raises:
        DemoFailed: something was refused.
    """
    tell("make database", 0, 1)
    await _migrate(place)
    loads = _loads(files, mode)
    async with open_app(place.url) as client:
        loader = _Loader(client)
        await loader.send("POST", "/v1/admin/tenants", json={"external_id": TENANT, "name": "Retail demo"})
        for done, (path, surface, file) in enumerate(loads):
            tell(f"load {path.removeprefix('signals/')} for {surface}", done, len(loads))
            await loader.load(f"{_ADMIN}/{path}?surface={surface}", file)
        await loader.send("PUT", f"{_ADMIN}/config", json=showcase.config(mode), headers=_REASON)
        await loader.send("PUT", f"{_ADMIN}/rules", json=showcase.rules(files.showcase), headers=_REASON)
    tell("database", len(loads), len(loads))


async def label_good(place: Place, open_app: OpenApp) -> None:
    """Label what is current ``known_good``, to go back to."""
    async with open_app(place.url) as client:
        loader = _Loader(client)
        history = await loader.send("GET", f"{_ADMIN}/history?limit=1")
        revision = history["entries"][0]["revision"]
        await loader.send("PUT", f"{_ADMIN}/history/{revision}/labels/known_good", headers=_REASON)


def _loads(files: RetailFiles, mode: DataMode) -> list[tuple[str, str, Path]]:
    from recsys.demo.retail import SURFACES

    signals = [("signals/popularity", files.popularity), ("signals/cooc", files.cooc)] if mode == "tables" else []
    return [(path, surface, file) for surface in SURFACES for path, file in [("items", files.items), *signals]]


async def _migrate(place: Place) -> None:
    from recsys.storage.engine import open_database
    from recsys.storage.migrate import upgrade

    database = open_database(place.url)
    try:
        await upgrade(database)
    finally:
        await database.close()


@dataclass(frozen=True)
class _Loader:
    client: httpx.AsyncClient

    async def load(self, path: str, file: Path) -> None:
        """Send a file of rows."""
        content = await asyncio.to_thread(file.read_bytes)
        await self.send("PUT", path, content=content, headers={"Content-Type": "application/x-ndjson"})

    async def send(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Send one request; whatever is refused ends the build."""
        response = await self.client.request(method, path, timeout=None, **request)
        if not response.is_success:
            raise DemoFailed(f"{method} {path} was answered with {response.status_code}:\n{response.text}")
        answer: dict[str, Any] = response.json()
        return answer
