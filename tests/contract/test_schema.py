"""The migrations replayed give the schema that the code uses."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from recsys.storage.engine import Database, open_database
from recsys.storage.migrate import status, upgrade
from recsys.storage.schema import metadata


async def test_the_migrations_replayed_are_the_schema(database: Database) -> None:
    def difference(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with database.read() as connection:
        assert await connection.run_sync(difference) == []


async def test_upgrading_again_changes_nothing(database: Database) -> None:
    before = await status(database)

    assert await upgrade(database) == before
    assert all(step.applied for step in before)


async def test_a_database_without_schema_has_every_step_before_it(tmp_path: Path) -> None:
    file = tmp_path / "empty.db"
    file.touch()
    database = open_database(f"sqlite:///{file}")

    assert not any(step.applied for step in await status(database))
    await database.close()
