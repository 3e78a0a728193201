"""What users did: built in any order, recent items, and what keeps an item out."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.ranking.arrays import as_indices
from recsys.ranking.history import History, build_history

DAY = 86_400_000_000
ENTRIES = [
    ("u1", 3, "view", 1 * DAY),
    ("u1", 7, "purchase", 5 * DAY),
    ("u1", 3, "purchase", 5 * DAY),  # at the time of the purchase of 7, so the lower index goes first
    ("u1", 7, "view", 6 * DAY),
    ("u1", 2, "click", 8 * DAY),
    ("ü", 9, "view", 10 * DAY),  # the newest of all users: windows count back from day 10
]


def history(entries: list[tuple[str, int, str, int]]) -> History:
    subjects, items, kinds, times = zip(*entries, strict=True) if entries else ((), (), (), ())
    return build_history(subjects, as_indices(items), kinds, np.array(times, np.int64))


def test_entries_stand_by_user_then_time_then_item_whatever_the_order_they_came_in() -> None:
    built = history(ENTRIES)
    assert built.kind_names == ("click", "purchase", "view")
    assert built.subjects.texts([0, 1]) == ["u1", "ü"]
    assert built.starts.tolist() == [0, 5, 6]
    assert built.items.tolist() == [3, 3, 7, 7, 2, 9]
    assert built.kinds.tolist() == [2, 1, 1, 2, 0, 2]
    assert built.newest == 10 * DAY
    again = history(ENTRIES[::-1])
    for column in ("starts", "items", "kinds", "times"):
        assert getattr(again, column).tobytes() == getattr(built, column).tobytes()
    assert [column.dtype.name for column in (again.items, again.kinds, again.times)] == ["int32", "uint8", "int64"]


def test_a_user_is_found_by_name_and_a_stranger_is_not() -> None:
    assert (history(ENTRIES).find("u1"), history(ENTRIES).find("ü"), history(ENTRIES).find("u")) == (0, 1, -1)


def test_recent_items_stand_oldest_first_each_at_its_last_place() -> None:
    built = history(ENTRIES)
    assert built.recent(0, 50).tolist() == [3, 7, 2]
    assert built.recent(0, 2).tolist() == [7, 2]
    assert built.recent(1, 2).tolist() == [9]


def test_recent_looks_as_far_back_as_it_takes_and_not_into_the_user_before() -> None:
    entries = [("a", 8, "view", 1), ("b", 1, "view", 2), *[("b", 5, "view", at) for at in range(3, 40)]]
    assert history(entries).recent(1, 3).tolist() == [1, 5]
    assert history(entries).recent(1, 1).tolist() == [5]


def test_done_names_the_items_of_the_asked_event_types_once() -> None:
    built = history(ENTRIES)
    assert built.done(0, ["purchase"], None).tolist() == [3, 7]
    assert built.done(0, ["view", "click"], None).tolist() == [2, 3, 7]
    assert built.done(0, ["refund"], None).tolist() == []
    assert built.done(0, [], None).tolist() == []


def test_the_window_counts_from_the_newest_event_of_all_users_and_holds_its_edge() -> None:
    """Day 10 is the newest. 5 days back is day 5, edge included; 4 days back is day 6; half a day holds nothing."""
    built = history(ENTRIES)
    assert built.done(0, ["view", "purchase"], 5).tolist() == [3, 7]
    assert built.done(0, ["view", "purchase"], 4).tolist() == [7]
    assert built.done(0, ["view", "purchase"], 0.5).tolist() == []


def test_the_edge_of_a_window_is_held_where_its_days_are_no_round_number() -> None:
    """0.7 · 86,400,000,000 is a little below 60,480,000,000 in floats."""
    built = history([("u", 1, "view", 0), ("u", 2, "view", 60_480_000_000)])
    assert built.done(0, ["view"], 0.7).tolist() == [1, 2]


def test_an_empty_history_knows_nobody() -> None:
    assert history([]).find("u1") == -1
    assert history([]).newest == 0


def test_more_kinds_than_a_byte_can_count_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 256"):
        history([("u", 0, f"kind{at}", 0) for at in range(257)])
