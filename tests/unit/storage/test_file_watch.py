"""A SQLite file is read only when it has changed."""

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from recsys.domain.ports import Overview
from recsys.storage.engine import open_database
from recsys.storage.file_watch import FileWatch
from recsys.storage.overview import OverviewReader
from recsys.storage.serving_store import SqlServingStore
from tests.support.databases import SqliteTemplate


def commit(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "w.db"
    commit(made, "create table t (x)")
    return made


def test_a_mark_differs_after_a_commit_and_only_then(file: Path) -> None:
    watch = FileWatch(file)
    first = watch.mark()
    assert first is not None
    assert watch.mark() == first
    commit(file, "insert into t values (1)")
    assert watch.mark() != first
    watch.close()


def test_a_file_put_in_its_place_has_another_mark(file: Path, tmp_path: Path) -> None:
    watch = FileWatch(file)
    first = watch.mark()
    other = tmp_path / "other.db"
    commit(other, "create table t (x)")
    other.replace(file)
    assert watch.mark() not in (None, first)
    watch.close()


@pytest.mark.parametrize("how", ["gone", "no database", "a directory"])
def test_nothing_is_said_of_what_cannot_be_read(file: Path, how: str) -> None:
    watch = FileWatch(file)
    assert watch.mark() is not None
    file.unlink()
    if how == "no database":
        file.write_bytes(os.urandom(8_192))
    if how == "a directory":
        file.mkdir()
    assert watch.mark() is None
    assert file.is_dir() or not file.exists() or file.stat().st_size == 8_192, "looking makes no file"
    watch.close()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return SqliteTemplate(tmp_path).fresh()


async def test_an_overview_is_read_once_until_somebody_commits(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(database_url)
    store = SqlServingStore(database)
    reads: list[datetime] = []
    read = OverviewReader.read

    async def counted(self: OverviewReader, now: datetime) -> Overview:
        reads.append(now)
        return await read(self, now)

    monkeypatch.setattr(OverviewReader, "read", counted)
    await store.overview()
    await store.overview()
    assert len(reads) == 1
    assert database.file is not None
    commit(database.file, "create table unrelated (x)")
    await store.overview()
    assert len(reads) == 2
    monkeypatch.setattr("recsys.storage.serving_store._TRUSTED_S", 0.0)
    await store.overview()
    assert len(reads) == 3, "a second is as long as a mark is believed"
    await database.close()
