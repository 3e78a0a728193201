"""``recsys serve``, ``recsys migrate`` and ``recsys version``: what works on a process or a database, not over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from recsys import __version__
from recsys.cli import views
from recsys.cli.command import console, reporting
from recsys.cli.database import database_errors, require_file, require_schema, sqlite_file, without_password
from recsys.cli.failure import Failure, Misused
from recsys.domain.errors import NotReady

if TYPE_CHECKING:
    from recsys.bootstrap.settings import Settings
    from recsys.storage.migrate import MigrationState

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="RECSYS_DB",
        metavar="URL",
        help="sqlite:///FILE or postgresql://USER@HOST/NAME. Default: sqlite:///recsys.db",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def version(as_json: Json = False) -> None:
    """Print the version of this program."""
    print(json.dumps({"version": __version__}) if as_json else __version__)


def serve(
    db: Db = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on. Default: 127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65_535, help="Port to listen on. Default: 8080")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="So many processes share the port. Default: 1")
    ] = None,
    dev_auth: Annotated[
        bool | None, typer.Option("--dev-auth", help="Trust the X-Dev-… headers of whoever asks; loopback only.")
    ] = None,
) -> None:
    """Run the service. What is not given comes from the RECSYS_… environment, see docs/settings.md."""
    from recsys.bootstrap.serve import port_fault
    from recsys.bootstrap.serve import serve as run
    from recsys.bootstrap.wiring import has_last_good

    with reporting():
        settings = _settings(db=db, host=host, port=port, workers=workers, dev_auth=dev_auth)
        with database_errors(settings.db):
            if not has_last_good(settings):
                require_file(settings.db)
            _check_schema(settings.db)
        if fault := port_fault(settings.host, settings.port):
            raise Failure(
                fault,
                "Is it an address of this machine (--host)? If another process has the port, take another: --port",
            )
        run(settings)


def _check_schema(db: str) -> None:
    """Refuse a database that lacks a migration; one that cannot be reached now may be back in a moment."""
    try:
        asyncio.run(require_schema(db))
    except NotReady:
        console(stderr=True).print(
            f"{without_password(db)} cannot be reached; starting all the same, from the last known good where this "
            "host has kept it, else not ready until it can."
        )


def _settings(**given: object) -> Settings:
    from recsys.bootstrap.settings import Settings, SettingsError

    try:
        return Settings.from_environment(os.environ, **given)
    except SettingsError as error:
        raise Misused(str(error), "All settings are in docs/settings.md") from None


def migrate_group() -> typer.Typer:
    """The commands about the schema."""
    app = typer.Typer(no_args_is_help=True, help="Bring a database to the schema that this program knows.")
    app.command("up")(migrate_up)
    app.command("status")(migrate_status)
    return app


def migrate_up(db: Db = None, as_json: Json = False) -> None:
    """Apply the migrations that are missing; safe to repeat."""
    with reporting():
        url = _settings(db=db).db
        file = sqlite_file(url)
        before = [] if file is not None and not file.exists() else _run(url, up=False)
        states = _run(url, up=True)
        missing = {state.revision for state in states} - {state.revision for state in before if state.applied}
        _show(url, states, as_json=as_json)
        if not as_json:
            print(f"Applied: {', '.join(sorted(missing))}." if missing else "There was nothing to apply.")


def migrate_status(db: Db = None, as_json: Json = False) -> None:
    """Show which migrations the database has. Exit code 1 while one is missing."""
    with reporting():
        url = _settings(db=db).db
        require_file(url)
        states = _run(url, up=False)
        _show(url, states, as_json=as_json)
        missing = [state.revision for state in states if not state.applied]
        if missing:
            raise Failure(f"Missing: {', '.join(missing)}.", f"Run: recsys migrate up --db {without_password(url)}")


def _run(db: str, *, up: bool) -> list[MigrationState]:
    from recsys.storage.engine import open_database
    from recsys.storage.migrate import status, upgrade

    async def migrated() -> list[MigrationState]:
        database = open_database(db)
        try:
            return await (upgrade(database) if up else status(database))
        finally:
            await database.close()

    with database_errors(db):
        return asyncio.run(migrated())


def _show(db: str, states: list[MigrationState], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"migrations": [msgspec.structs.asdict(state) for state in states]}))
        return
    cells = [(state.revision, "applied" if state.applied else "missing", state.title) for state in states]
    console().print(views.rows(("migration", "state", "what"), cells, "There are no migrations."), soft_wrap=True)
    if all(state.applied for state in states):
        console().print(f"{without_password(db)} is up to date.")
