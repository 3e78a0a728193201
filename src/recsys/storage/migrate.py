"""Bringing a database to the schema that this code knows, step by step."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from recsys.storage.engine import Database


class MigrationState(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the schema's history."""

    revision: str
    title: str
    applied: bool


async def upgrade(database: Database) -> list[MigrationState]:
    """Apply what is missing; with nothing missing, change nothing."""
    await _run(database, lambda config: command.upgrade(config, "head"))
    return await status(database)


async def status(database: Database) -> list[MigrationState]:
    """Every step, oldest first, and whether this database has it."""
    script = ScriptDirectory.from_config(_config())
    async with database.read() as connection:
        current = await connection.run_sync(_current_revision)
    steps = list(script.walk_revisions())[::-1]
    known = [step.revision for step in steps]
    reached = known.index(current) if current in known else -1
    return [
        MigrationState(revision=step.revision, title=step.doc, applied=at <= reached) for at, step in enumerate(steps)
    ]


async def _run(database: Database, action: Callable[[Config], None]) -> None:
    def in_transaction(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        action(config)

    async with database.write(makes_file=True) as connection:
        await connection.run_sync(in_transaction)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("recsys.storage") / "migrations"))
    return config


def _current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
