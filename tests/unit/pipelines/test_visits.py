"""Codes follow the ids and the time; a session ends where a user pauses."""

import pyarrow as pa

from recsys.pipelines.visits import Coded, select_events, session_visits, user_visits
from tests.support.pipeline import Bench, Event


def session_of(coded: Coded) -> list[int]:
    found = coded.engine.fetch(coded.events).sort_by([("at", "ascending"), ("item", "ascending")])
    sessions: list[int] = found.column("session").to_pylist()
    return sessions


def test_items_and_users_are_coded_in_code_point_order(bench: Bench) -> None:
    coded = bench.coded(Event("𝒛"), Event("b", user="w"), Event("é"), Event("B", user=""))
    assert coded.items.to_pylist() == ["B", "b", "é", "𝒛"]
    assert coded.users.to_pylist() == ["u", "w"]


def test_a_pause_of_more_than_the_gap_ends_a_session_that_has_no_name(bench: Bench) -> None:
    minutes = (0, 29, 59, 90, 200)  # 30 is not more than 30, 31 is
    events = [Event(chr(97 + place), session="", minute=minute) for place, minute in enumerate(minutes)]
    assert session_of(bench.coded(*events)) == [0, 0, 0, 1, 2]


def test_a_pause_is_measured_to_the_microsecond(bench: Bench) -> None:
    just_more = 30 + 1e-6 / 60
    events = [
        Event(item, session="", minute=minute) for item, minute in zip("abc", (0, 30, 30 + just_more), strict=True)
    ]
    assert session_of(bench.coded(*events)) == [0, 0, 1]


def test_named_sessions_last_however_long_and_users_do_not_share_pauses(bench: Bench) -> None:
    events = [
        Event("a", session="x", minute=0),
        Event("b", session="", user="v", minute=1),
        Event("c", session="", user="w", minute=2),
        Event("d", session="", user="v", minute=3),
        Event("e", session="x", minute=900),
    ]
    coded = bench.coded(*events)
    # Numbered by when they ended: w at 2, v at 3, x at 900.
    assert session_of(coded) == [2, 1, 0, 1, 2]


def test_an_event_of_nobody_is_in_no_session(bench: Bench) -> None:
    assert session_of(bench.coded(Event("a", session="", user=""), Event("b", session="", minute=1))) == [-1, 0]


def test_a_session_of_a_name_and_the_visit_of_a_user_of_that_name_are_two(bench: Bench) -> None:
    coded = bench.coded(Event("a", session="same", minute=0), Event("b", session="", user="same", minute=1))
    assert session_of(coded) == [0, 1]


def test_of_a_long_session_the_last_different_items_count(bench: Bench) -> None:
    coded = bench.coded(*(Event(item, minute=minute) for minute, item in enumerate("abcab")))
    visits = bench.engine.fetch(session_visits(coded, 2))
    assert sorted(visits.column("item").to_pylist()) == [0, 1]
    assert set(visits.column("day").to_pylist()) == {20_454}


def test_of_items_of_one_moment_the_first_by_id_count(bench: Bench) -> None:
    visits = bench.engine.fetch(user_visits(bench.coded(Event("c"), Event("a"), Event("b")), 2))
    assert sorted(visits.column("item").to_pylist()) == [0, 1]


def test_only_events_of_the_segment_and_with_an_item_are_selected(bench: Bench) -> None:
    path = bench.events(Event("a", segment="new"), Event("b"), Event("", kind="conversion", segment="new"))
    selected: pa.Table = bench.engine.fetch(select_events(bench.engine.read([path]), "new"))
    assert selected.column("item_id").to_pylist() == ["a"]
