"""Opening a database: which URLs are understood, and what drivers say in words of our own."""

from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from recsys.domain.errors import InvalidRequest, NotReady, Overloaded
from recsys.storage.engine import _translated, open_database
from recsys.storage.migrate import upgrade
from recsys.storage.serving_store import SqlServingStore


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/d", "not a url", "", "postgresql://u@h/d?target_session_attrs=any"]
)
def test_urls_of_other_kinds_are_refused_without_quoting_secrets(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_database(url)
    assert "secret" not in caught.value.detail


def test_sslmode_as_providers_write_it_is_understood() -> None:
    database = open_database("postgresql://u:p@h/d?sslmode=require")
    assert dict(database.engine.url.query) == {"ssl": "require"}


async def test_a_file_that_is_no_database_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is not a database, and longer than a header would be " * 20)
    database = open_database(f"sqlite:///{tmp_path / 'no.db'}")
    with pytest.raises(NotReady):
        await SqlServingStore(database).overview()
    await database.close()


async def test_reading_makes_no_file_and_finds_the_one_that_comes(tmp_path: Path) -> None:
    file = tmp_path / "recsys.db"
    database = open_database(f"sqlite:///{file}")
    with pytest.raises(NotReady, match=r"There is no database file recsys\.db"):
        await SqlServingStore(database).overview()
    assert not any(tmp_path.iterdir())
    await upgrade(database)
    assert (await SqlServingStore(database).overview()).heads == []
    await database.close()


@pytest.mark.parametrize(
    "other",
    ["postgresql://u@h/other", "postgresql://u@other/d", "postgresql://u@h:1/d", "postgresql:///d?host=/run/pg"],
)
def test_databases_are_told_apart_by_where_they_are(other: str) -> None:
    assert open_database("postgresql://u@h/d").name_hash != open_database(other).name_hash


def test_a_database_is_the_same_whoever_asks_and_from_wherever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_database("postgresql://u:old@h/d").name_hash
    assert first == open_database("postgresql://v:new@h/d?sslmode=require").name_hash
    monkeypatch.chdir(tmp_path)
    absolute, relative = (open_database(url).name_hash for url in (f"sqlite:///{tmp_path}/x.db", "sqlite:///x.db"))
    assert absolute == relative
    assert open_database("sqlite:///:memory:").name_hash is None


async def test_nobody_listening_is_not_ready() -> None:
    database = open_database("postgresql://u@127.0.0.1:1/d")
    with pytest.raises(NotReady):
        await SqlServingStore(database).overview()
    await database.close()


@pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300", "08006", "3D000", "28P01", "55000"])
def test_what_postgresql_says_when_it_cannot_be_had_now_is_not_ready(sqlstate: str) -> None:
    with pytest.raises(NotReady), _translated():
        raise DBAPIError("select 1", None, _refusal(sqlstate))


def test_a_lock_that_cannot_be_had_in_time_is_overload_and_a_defect_stays_one() -> None:
    with pytest.raises(Overloaded), _translated():
        raise DBAPIError("select 1", None, _refusal("55P03"))
    with pytest.raises(DBAPIError), _translated():
        raise DBAPIError("select 1", None, _refusal("42601"))


def _refusal(sqlstate: str) -> Exception:
    refusal = Exception("the driver's words")
    refusal.sqlstate = sqlstate  # type: ignore[attr-defined]
    return refusal
