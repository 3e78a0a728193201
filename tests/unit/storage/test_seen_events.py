"""Which events there are: by tenant, over connections, all or nothing, forgotten by and by."""

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import pytest

from recsys.storage import seen_events
from recsys.storage.seen_events import SeenEvents

DAY = date(2026, 3, 1)


def opened(directory: Path) -> SeenEvents:
    return SeenEvents(directory / "seen.db", durable=False)


def add(seen: SeenEvents, tenant_id: str, *event_ids: str, day: date = DAY) -> None:
    with seen.changing():
        seen.add(tenant_id, event_ids, day)


def test_ids_are_known_to_their_tenant_and_to_other_connections(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    odd = ['quote "', "back\\slash", "é😀", "'; drop table seen"]
    add(one, "t1", "a", *odd)
    assert other.known("t1", ["a", "b", *odd]) == {"a", *odd}
    assert other.known("t2", ["a"]) == set()
    assert other.known("t1", []) == set()
    one.close()
    other.close()


def test_what_fails_in_between_is_not_remembered(tmp_path: Path) -> None:
    seen = opened(tmp_path)
    with pytest.raises(OSError), seen.changing():
        seen.add("t", ["a"], DAY)
        raise OSError
    assert seen.known("t", ["a"]) == set()
    add(seen, "t", "a")
    assert seen.known("t", ["a"]) == {"a"}
    seen.close()


def test_old_days_are_forgotten_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_events, "PRUNED_AT_ONCE", 4)
    seen = opened(tmp_path)
    for age in (2, 1, 0):
        add(seen, "t", *(f"{age}-{n}" for n in range(5)), day=DAY - timedelta(days=age))
    rounds = 1
    while seen.prune(DAY):
        rounds += 1
    assert rounds == 3
    every = [f"{age}-{n}" for age in (2, 1, 0) for n in range(5)]
    assert seen.known("t", every) == {f"0-{n}" for n in range(5)}
    seen.close()


def test_a_file_that_is_no_database_is_an_error_until_it_is_gone(tmp_path: Path) -> None:
    seen = opened(tmp_path)
    (tmp_path / "seen.db").write_bytes(b"this is not a database " * 100)
    with pytest.raises(sqlite3.Error):
        add(seen, "t", "a")
    (tmp_path / "seen.db").unlink()
    add(seen, "t", "a")
    assert seen.known("t", ["a"]) == {"a"}
    seen.close()
