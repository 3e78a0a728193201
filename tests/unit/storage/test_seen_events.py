"""The index of accepted events when several workers make it at once."""

import sqlite3
import threading
from datetime import date
from pathlib import Path

from recsys.domain.errors import Overloaded
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
