"""Builds the demo's database, through the same endpoints that anybody loads data with."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from recsys.demo import showcase
from recsys.demo.place import TENANT, DemoFailed, Place

if TYPE_CHECKING:
    from rich.console import Console

    from recsys.demo.retail import RetailFiles

OpenApp = Callable[[str], AbstractAsyncContextManager[httpx.AsyncClient]]
"""Opens the application in this process, on a database URL; who asks is the person at the keyboard."""

_ADMIN = f"/v1/admin/tenants/{TENANT}"
_OTHER = "Take another folder: --dir DIR"
_REASON = {"X-Change-Reason": "the demo is built"}


def ensure_built(place: Place, console: Console, open_app: OpenApp) -> bool:
    """Build the demo unless it is there already; whether there was something to do.

    Everything is made in a folder next to it, which takes its place in the last step: what is interrupted half-way
    never looks finished.

    Raises:
        DemoFailed: the folder holds something else or cannot be written, or a load was refused.
    """
    try:
        if place.is_current():
            return False
        if not place.is_ours():
            raise DemoFailed(f"{place.directory} holds something that is not a demo. {_OTHER}")
        _build_beside(place, console, open_app)
    except OSError as error:
        raise DemoFailed(f"{place.directory} cannot be written: {error.strerror or error}. {_OTHER}") from None
    return True


def _build_beside(place: Place, console: Console, open_app: OpenApp) -> None:
    scratch = Place(place.directory.with_name(place.directory.name + ".building"))
    shutil.rmtree(scratch.directory, ignore_errors=True)
    try:
        scratch.directory.mkdir(parents=True)
        _build(scratch, console, open_app)
        _replace(place.directory, scratch.directory)
    finally:
        shutil.rmtree(scratch.directory, ignore_errors=True)


def _build(place: Place, console: Console, open_app: OpenApp) -> None:
    try:
        import duckdb

        from recsys.demo import retail
    except ModuleNotFoundError as error:
        raise DemoFailed(f"The demo needs {error.name}: pip install 'recsys[demo]'") from None
    with _progress(console) as progress:
        try:
            files = retail.build(retail.SHIPPED_PARQUET, place.directory, _Bar(progress).show)
        except duckdb.IOException as error:  # a full disk, most likely
            raise OSError(str(error).partition("\n")[0]) from None
        place.bad_rules.write_text(json.dumps(showcase.bad_rules(files.showcase), indent=2) + "\n", encoding="utf-8")
        asyncio.run(_fill(place, files, progress, open_app))
    place.finish(files.showcase)


def _replace(old: Path, new: Path) -> None:
    if old.exists():
        trash = old.with_name(old.name + ".old")
        shutil.rmtree(trash, ignore_errors=True)
        old.rename(trash)
        new.rename(old)
        shutil.rmtree(trash)
    else:
        new.rename(old)


async def _fill(place: Place, files: RetailFiles, progress: Progress, open_app: OpenApp) -> None:
    from recsys.demo.retail import SURFACES

    loads = [
        (f"{path}?surface={surface}", file)
        for surface in SURFACES
        for path, file in (
            ("items", files.items),
            ("signals/popularity", files.popularity),
            ("signals/cooc", files.cooc),
        )
    ]
    await _migrate(place)
    task = progress.add_task("make database", total=len(loads) + 2)
    async with open_app(place.url) as client:
        loader = _Loader(client)
        await loader.send("POST", "/v1/admin/tenants", json={"external_id": TENANT, "name": "Retail demo"})
        progress.advance(task)
        for target, file in loads:
            progress.update(
                task, description=f"load {target.split('?')[0].removeprefix('signals/')} for {target.split('=')[1]}"
            )
            await loader.load(f"{_ADMIN}/{target}", file)
            progress.advance(task)
        progress.update(task, description="put config and rules")
        await loader.send("PUT", f"{_ADMIN}/config", json=showcase.config(), headers=_REASON)
        answer = await loader.send("PUT", f"{_ADMIN}/rules", json=showcase.rules(files.showcase), headers=_REASON)
        await loader.send("PUT", f"{_ADMIN}/history/{answer['revision']}/labels/known_good", headers=_REASON)
        progress.update(task, advance=1, description="database")


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


class _Bar:
    """Shows the steps of the retail build as one bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("read invoices")

    def show(self, step: str, done: int, total: int) -> None:
        """Take what the retail build tells."""
        self._progress.update(self._task, description=step if done < total else "invoices", completed=done, total=total)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
