"""Each gate lets good events through, stops bad ones, and says which."""

from datetime import date, timedelta

import msgspec
import pytest

from recsys.pipelines.gates import Gate, Input, distance, judge
from recsys.pipelines.settings import Gates

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(4)]
GOOD = Input(
    days=DAYS,
    volume={day.isoformat(): 100 for day in DAYS},
    items={"a": 300, "b": 100},
    read=400,
    set_aside={},
    duplicates=0,
)


def verdicts(**changed: object) -> dict[str, Gate]:
    return {gate.name: gate for gate in judge(msgspec.structs.replace(GOOD, **changed), Gates())}


def failed(**changed: object) -> list[str]:
    return [name for name, gate in verdicts(**changed).items() if not gate.passed]


def test_good_events_pass_every_gate() -> None:
    assert failed() == []
    assert set(verdicts()) == {"set_aside", "duplicates", "window", "events", "volume", "drift"}


def test_too_many_records_set_aside_are_shown_with_their_place() -> None:
    assert failed(set_aside={"malformed": 4}) == []
    gate = verdicts(set_aside={"malformed": 4, "nul": 1}, examples=["a.jsonl:3: nul: …"])["set_aside"]
    assert not gate.passed
    assert "malformed 4, nul 1" in gate.detail
    assert gate.rows == ["a.jsonl:3: nul: …"]


def test_too_many_duplicates_fail() -> None:
    assert failed(duplicates=20) == []
    assert failed(duplicates=21) == ["duplicates"]


def test_missing_days_are_named() -> None:
    volume = {day.isoformat(): 0 for day in DAYS[:3]} | {DAYS[3].isoformat(): 400}
    gate = verdicts(volume=volume)["window"]
    assert not gate.passed
    assert gate.rows == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_a_window_without_events_fails() -> None:
    assert set(failed(volume={}, items={})) == {"window", "events"}


@pytest.mark.parametrize(("count", "passes"), [(49, False), (50, True), (200, True), (201, False)])
def test_the_median_day_is_compared_with_that_of_the_last_run(count: int, passes: bool) -> None:
    volume = {day.isoformat(): count for day in DAYS}
    gate = verdicts(volume=volume, before={"2025-12-01": 100, "2025-12-02": 0})["volume"]
    assert gate.passed is passes
    assert (gate.rows == []) is passes


def test_drift_is_half_the_sum_of_differences_of_shares() -> None:
    assert distance({"a": 1}, {"a": 7}) == (0, [("a", 1, 1)])
    assert distance({"a": 1}, {"b": 1})[0] == 1
    assert distance({"a": 3, "b": 1}, {"a": 1, "b": 1})[0] == 0.25


def test_drift_beyond_the_limit_names_the_items_that_moved_most() -> None:
    gate = verdicts(items_before={"b": 100, "c": 300})["drift"]
    assert not gate.passed
    assert gate.rows == ["a: 0.00% → 75.00%", "c: 75.00% → 0.00%", "b: 25.00% → 25.00%"]
