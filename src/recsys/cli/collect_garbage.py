"""``recsys artifacts gc``: removes what no manifest needs. It works on a database and a store, not over HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from recsys.cli import views
from recsys.cli.artifact_store import open_blobs, store_errors
from recsys.cli.command import console, reporting
from recsys.cli.database import database_errors, require_file, require_schema
from recsys.cli.failure import Failure
from recsys.cli.person import os_user
from recsys.control.collect_garbage import GRACE, Collection, Stored, collect_garbage
from recsys.domain.access import Actor
from recsys.domain.errors import ArtifactStoreNotReady, InvalidRequest, Overloaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.domain.ports import BlobStore, ControlStore

_PAGE = 200


def collect(
    db: Annotated[
        str,
        typer.Option("--db", envvar="RECSYS_DB", metavar="URL", help="The database whose manifests count."),
    ] = "sqlite:///recsys.db",
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", metavar="TENANT", help="Only this one; default: every tenant.")
    ] = None,
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0, help="Keep what was served at any time in so many days.")
    ] = 30,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, help="Keep what was stored less than so many hours ago.")
    ] = GRACE.total_seconds() / 3_600,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it. Without this it is only shown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show, and with --delete remove, the artifacts that no version of a manifest within retention names.

    What is current, was current in the last --keep-days days, or is labelled known good stays; so does what was stored
    a short while ago, since a publish stores first and changes the manifest last.
    """
    with reporting():
        require_file(db)
        blobs = open_blobs(db)
        grace = timedelta(hours=grace_hours)
        with database_errors(db), store_errors():
            found, failed = asyncio.run(_collect(db, blobs, tenant, keep_days, grace, delete=delete))
        if as_json:
            print(json.dumps({"deleted": delete, "tenants": {name: _counted(each) for name, each in found.items()}}))
        else:
            for name, each in found.items():
                _print(name, each, delete=delete)
        if failed:
            raise Failure("; ".join(f"{name}: {said}" for name, said in failed.items()), "Run it again for these.")


async def _collect(
    db: str, blobs: BlobStore, tenant: str | None, keep_days: float, grace: timedelta, *, delete: bool
) -> tuple[dict[str, Collection], dict[str, str]]:
    """What was found of each tenant, and why nothing is known of the others: one that is busy holds up no other."""
    from recsys.bootstrap.wiring import SystemClock
    from recsys.storage.control_store import SqlControlStore
    from recsys.storage.engine import open_database

    await require_schema(db)
    database, clock = open_database(db), SystemClock()
    try:
        store, actor = SqlControlStore(database, clock), Actor(sub=os_user(), actor_type="cli")
        found: dict[str, Collection] = {}
        failed: dict[str, str] = {}
        for name in [tenant] if tenant else await _tenants(store):
            try:
                found[name] = await collect_garbage(
                    store, blobs, clock, actor, name, keep_days=keep_days, grace=grace, delete=delete
                )
            except (Overloaded, ArtifactStoreNotReady, InvalidRequest) as error:
                failed[name] = error.detail
        return found, failed
    finally:
        await database.close()


async def _tenants(store: ControlStore) -> list[str]:
    names: list[str] = []
    async with store.reading() as reader:
        while page := await reader.tenants(_PAGE, names[-1] if names else None):
            names += [tenant.external_id for tenant in page]
    return names


def _counted(found: Collection) -> dict[str, object]:
    return {
        "referenced": len(found.referenced),
        "young": len(found.young),
        "collected": [f"{each.address.surface}/{each.address.kind}/{each.address.sha256}" for each in found.collected],
        "bytes": _size(found.collected),
    }


def _print(tenant: str, found: Collection, *, delete: bool) -> None:
    done = "removed" if delete else "would go"
    cells = [
        (each.address.surface, each.address.kind, views.short(each.address.sha256), each.size, done)
        for each in found.collected
    ]
    out = console()
    if cells:
        out.print(views.rows(("surface", "kind", "sha256", "bytes", ""), cells, ""), soft_wrap=True)
    said = f"{len(cells)} artifacts with {_size(found.collected)} bytes {done}"
    kept = f"{len(found.referenced)} are needed, {len(found.young)} too young to judge."
    hint = " Remove them: --delete" if cells and not delete else ""
    out.print(Text(f"{tenant}: {said}; {kept}{hint}"), soft_wrap=True)


def _size(stored: Iterable[Stored]) -> int:
    return sum(each.size for each in stored)
