"""What is held out is held out: nothing after the cut says anything before it."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.domain.config import ExcludeConfig
from recsys.evaluation.holdout import Case, session_cases, split, user_cases
from tests.support.pipeline import BEGIN, Event, write_events
from tests.support.reference import Event as Did
from tests.support.surfaces import history_of

BOUGHT = ExcludeConfig(event_types=["purchase"])
CUT = BEGIN + timedelta(days=1)
LATER = 1_440


@pytest.fixture
def halves(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[pa.Table, pa.Table]:
    return split(pq.read_table(write_events(tmp_path / "events.parquet", request.param)), CUT)


def having(*events: Event) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("halves", [events], indirect=True, ids=["events"])


@having(Event("a", minute=LATER - 1), Event("b", minute=LATER), Event("c", minute=LATER + 1))
def test_the_moment_of_the_cut_is_after_it(halves: tuple[pa.Table, pa.Table]) -> None:
    before, after = (half.column("item_id").to_pylist() for half in halves)
    assert (before, after) == (["a"], ["b", "c"])


@having(
    Event("a", user="u"), Event("a", user="v"),
    Event("b", user="u", minute=LATER), Event("b", user="u", minute=LATER + 5), Event("a", user="u", minute=LATER + 6),
    Event("b", user="stranger", minute=LATER), Event("c", user="", minute=LATER),
)  # fmt: skip
def test_known_users_are_asked_for_the_different_items_that_come_later(halves: tuple[pa.Table, pa.Table]) -> None:
    assert user_cases(*halves) == [Case("u", (), frozenset("ab"))]


@having(
    Event("a", user="u", kind="purchase"), Event("b", user="u"), Event("a", user="w", kind="purchase"),
    Event("a", user="u", minute=LATER), Event("b", user="u", minute=LATER), Event("a", user="w", minute=LATER),
)  # fmt: skip
def test_what_the_user_had_before_does_not_count_and_leaves_no_case_without_truth(
    halves: tuple[pa.Table, pa.Table],
) -> None:
    assert user_cases(*halves, exclude=BOUGHT) == [Case("u", (), frozenset("b"))]


EARLIER = (
    *(Event(item, user="u", kind="purchase", minute=at) for item, at in zip("abc", [0, 299, 300], strict=True)),
    Event("x", user="v", minute=1_020),
)


@having(*EARLIER, Event("y", user="", minute=1_300), *(Event(item, user="u", minute=LATER) for item in "abcd"))
def test_what_serving_gives_back_when_the_window_is_over_counts_again(halves: tuple[pa.Table, pa.Table]) -> None:
    """Half a day before the newest event of any known user, not before the cut."""
    bought = ExcludeConfig(event_types=["purchase"], window_days=0.5)
    assert user_cases(*halves, exclude=bought) == [Case("u", (), frozenset("abd"))]

    did = [Did(each.user, each.item, each.kind, BEGIN + timedelta(minutes=each.minute)) for each in EARLIER]
    served = history_of(did, {"a": 0, "b": 1, "c": 2, "x": 3})
    assert served.done(served.find("u"), bought.event_types, bought.window_days).tolist() == [2]


@having(
    Event("a", user="u"), Event("b", user="u", minute=LATER), Event("c", user="u", minute=LATER, kind="purchase"),
    Event("", user="u", minute=LATER, kind="conversion"),
)  # fmt: skip
def test_only_the_types_asked_for_count_and_an_event_without_item_never(halves: tuple[pa.Table, pa.Table]) -> None:
    assert user_cases(*halves, outcomes=["purchase"]) == [Case("u", (), frozenset("c"))]
    assert user_cases(*halves) == [Case("u", (), frozenset("bc"))]
    assert user_cases(*halves, outcomes=["conversion"]) == []


@having(*(Event("a", user=user) for user in "zyx"), *(Event("b", user=user, minute=LATER) for user in "yxz"))
def test_a_limit_takes_the_first_by_key(halves: tuple[pa.Table, pa.Table]) -> None:
    assert [case.subject for case in user_cases(*halves, most=2)] == ["x", "y"]


@having(
    Event("a", session="old"), Event("b", session="old", minute=LATER), Event("c", session="old", minute=LATER),
    *(Event(item, session="s", minute=LATER + at) for at, item in enumerate("cbacd")),
    Event("a", session="one", minute=LATER), Event("a", session="", minute=LATER), Event("b", session="", minute=LATER),
)  # fmt: skip
def test_the_first_half_of_a_session_asks_for_the_second_one(halves: tuple[pa.Table, pa.Table]) -> None:
    assert session_cases(*halves) == [Case(None, ("c", "b"), frozenset("ad"))]


@having(*(Event(f"i{number:03}", session="long", minute=LATER + number) for number in range(201)))
def test_of_a_long_session_as_much_is_given_as_a_request_may_name(halves: tuple[pa.Table, pa.Table]) -> None:
    (case,) = session_cases(*halves)
    assert case.anchors == tuple(f"i{number:03}" for number in range(51, 101))
    assert len(case.truth) == 100
