"""Each gate lets good events through, stops bad ones, and says which."""

import json
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


def test_a_gate_that_fails_says_which_settings_move_it() -> None:
    bad: dict[str, dict[str, object]] = {
        "set_aside": {"set_aside": {"malformed": 40}}, "duplicates": {"duplicates": 100},
        "window": {"volume": {}}, "events": {"volume": {}}, "volume": {"before": {"2025-12-01": 1_000}},
        "drift": {"items_before": {"c": 1}},
    }  # fmt: skip
    named: set[str] = set()
    for name, changed in bad.items():
        limits = Gates(min_events=500)
        gate = next(each for each in judge(msgspec.structs.replace(GOOD, **changed), limits) if each.name == name)
        assert not gate.passed
        said = json.loads(gate.detail.partition("--settings FILE with ")[2])
        assert said["gates"].items() <= msgspec.structs.asdict(limits).items()
        named |= set(said["gates"])
    assert named == set(Gates.__struct_fields__)
    assert "--settings" not in verdicts()["drift"].detail


def test_what_fails_by_a_hair_is_told_with_the_digits_that_show_it() -> None:
    assert "0.5004 from" in verdicts(items={"a": 4_996, "b": 5_004}, items_before={"a": 1})["drift"].detail
    assert "0.500 from" in verdicts(items={"a": 1, "b": 1}, items_before={"a": 1})["drift"].detail
    assert "(1.001%, at most 1%)" in verdicts(read=98_999, set_aside={"nul": 1_001})["set_aside"].detail
    assert "2.003 times" in verdicts(before={"2025-12-01": 1_000}, volume={"2026-01-01": 2_003})["volume"].detail


@pytest.mark.parametrize("items", [9, 26, 30])
def test_a_distance_that_is_at_the_limit_is_not_beyond_it(items: int) -> None:
    """A sum of floating shares would be a little more than a half."""
    before = {f"i{number}": 1 for number in range(2 * items)}
    half = {f"i{number}": 1 for number in range(items)}
    assert distance(half, before)[0] == 0.5
    assert verdicts(items=half, items_before=before)["drift"].passed


def test_without_events_there_is_nothing_to_compare_and_the_gate_of_events_fails() -> None:
    gates = verdicts(volume={}, items={}, items_before={"a": 1}, before={"2025-12-01": 100})
    assert gates["drift"].detail == "There are no events to compare with those of the run before."
    assert (gates["events"].passed, gates["events"].detail) == (False, "0 events, at least 1.")
