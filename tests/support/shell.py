"""Statements as an operator writes them: past the service, straight into the database."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url


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
