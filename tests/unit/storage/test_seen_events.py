"""The index of accepted events when several workers make it at once."""

import sqlite3
import threading
from datetime import date
from pathlib import Path

import pytest

from recsys.domain.errors import Overloaded
from recsys.storage import seen_events
from recsys.storage.seen_events import NAME, SeenEvents

WORKERS = 6


def test_workers_that_open_a_new_index_at_once_all_get_their_turn(tmp_path: Path) -> None:
    for round_ in range(40):
        path, failed = tmp_path / str(round_) / NAME, list[BaseException]()
        path.parent.mkdir()
        start = threading.Barrier(WORKERS)

        def add(
            number: int, path: Path = path, failed: list[BaseException] = failed, start: threading.Barrier = start
        ) -> None:
            seen = SeenEvents(path, durable=False)
            start.wait()
            try:
                with seen.changing():
                    seen.add("t", [f"e{number}"], date(2026, 1, 1))
            except (sqlite3.Error, Overloaded) as error:
                failed.append(error)
            seen.close()

        threads = [threading.Thread(target=add, args=(number,)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed


def test_forgetting_leaves_the_days_that_are_kept_and_says_whether_there_may_be_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_events, "PRUNED_AT_ONCE", 2)
    seen, old, kept = SeenEvents(tmp_path / NAME, durable=False), date(2026, 1, 1), date(2026, 1, 2)
    with seen.changing():
        for number, day in enumerate((kept, old, old, old, kept)):
            seen.add("t", [f"e{number}"], day)
    assert [seen.prune(kept, kept) for _ in range(4)] == [True, True, True, False]
    assert seen.known("t", [f"e{number}" for number in range(5)]) == {"e0", "e4"}
    seen.close()


def test_days_to_come_do_not_stand_in_the_way_however_many_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_events, "PRUNED_AT_ONCE", 2)
    seen, old, today = SeenEvents(tmp_path / NAME, durable=False), date(2026, 1, 1), date(2026, 4, 1)
    with seen.changing():
        seen.add("t", ["f0", "f1", "f2"], date(2027, 1, 1))
        seen.add("t", ["e0"], old)
    assert [seen.prune(today, today), seen.prune(today, today)] == [True, False]
    assert seen.known("t", ["f0", "f1", "f2", "e0"]) == {"f0", "f1", "f2"}
    seen.close()
