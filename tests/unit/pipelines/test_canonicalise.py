"""A day's table depends on its events, not on the files that brought them, their order, or how often it is made."""

import json
import random
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recsys.pipelines.canonicalise import EVENTS, Canonical, canonicalise, table_of
from recsys.pipelines.errors import LimitExceeded
from recsys.pipelines.place import Place
from recsys.pipelines.settings import Limits
from recsys.pipelines.validate import write_set_aside
from recsys.pipelines.window import Window
from tests.unit.pipelines.test_ingest import GOOD, TENANT_ID, stage, write

DAYS = Window(date(2026, 1, 1), date(2026, 1, 4))


def records(count: int) -> list[dict[str, Any]]:
    return [
        GOOD
        | {"event_id": f"e{number}", "at": f"2026-01-0{1 + number % 4}T00:00:{number % 60:02}Z", "user_id": f"{number}"}
        for number in range(count)
    ]


def put(tmp_path: Path, lines: list[dict[str, Any]], name: str = "a.jsonl") -> None:
    write(tmp_path, "".join(json.dumps(line) + "\n" for line in lines).encode(), name)


def make(tmp_path: Path, window: Window = DAYS, limits: Limits | None = None, **read: Any) -> tuple[Place, Canonical]:
    place, files = stage(tmp_path, **read)
    made = canonicalise(place, files, TENANT_ID, "home", window, limits or Limits())
    write_set_aside(place, files)
    return place, made


def contents(canonical: Canonical) -> dict[str, str]:
    return {day: table.sha256 for day, table in canonical.days.items()}


def test_a_day_has_its_events_in_order_of_time(tmp_path: Path) -> None:
    put(tmp_path, records(40)[::-1])
    place, made = make(tmp_path)

    table = pq.read_table(table_of(place, date(2026, 1, 2)))
    assert table.schema.remove_metadata() == EVENTS
    assert table.column("event_id").to_pylist() == [f"e{number}" for number in range(1, 40, 4)]
    assert set(table.column("tenant").to_pylist()) == {TENANT_ID}
    assert [day.events for day in made.days.values()] == [10] * 4


def test_files_order_and_repetition_do_not_change_a_byte(tmp_path: Path) -> None:
    lines = records(200)
    put(tmp_path / "one", lines)
    _, one = make(tmp_path / "one")
    random.Random(7).shuffle(lines)
    for part in range(3):
        put(tmp_path / "many", lines[part::3], f"{'zxy'[part]}.jsonl")
    _, many = make(tmp_path / "many")
    _, again = make(tmp_path / "many")

    assert contents(one) == contents(many) == contents(again)


def test_late_events_land_in_their_day_and_leave_the_others_alone(tmp_path: Path) -> None:
    lines = records(40)
    put(tmp_path, lines[:30], "a.jsonl")
    place, first = make(tmp_path)
    untouched = table_of(place, date(2026, 1, 1))
    written = untouched.stat().st_mtime_ns
    put(tmp_path, [line for line in lines[30:] if not line["at"].startswith("2026-01-01")], "late.jsonl")
    _, second = make(tmp_path)

    changed = {day for day in first.days if first.days[day].sha256 != second.days[day].sha256}
    assert changed == {"2026-01-02", "2026-01-03", "2026-01-04"}
    assert untouched.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("at_first", "more"),
    [
        ({"now": datetime(2026, 1, 1, 12, tzinfo=UTC)}, {"at": "2026-01-02T18:00:00Z"}),
        ({"most": 1_024}, {"unknown": "x" * 2_000}),
    ],
    ids=["future", "line_too_long"],
)
def test_a_line_that_counts_later_reaches_its_day_and_is_not_read_for_again(
    tmp_path: Path, at_first: dict[str, Any], more: dict[str, Any]
) -> None:
    put(tmp_path, [GOOD | {"at": "2026-01-02T06:00:00Z"}, GOOD | {"event_id": "e2"} | more])
    _, first = make(tmp_path, **at_first)
    assert first.days["2026-01-02"].events == 1
    place, second = make(tmp_path, most=4_096)
    assert second.days["2026-01-02"].events == 2

    (rows,) = place.root.glob("staged/*/rows.parquet")
    written = rows.stat().st_mtime_ns
    assert make(tmp_path, most=4_096)[1] == second
    assert rows.stat().st_mtime_ns == written


def test_of_one_event_id_the_earliest_row_counts_and_the_others_are_set_aside(tmp_path: Path) -> None:
    put(tmp_path, [GOOD | {"at": "2026-01-03T00:00:00Z", "item_id": "b"}, GOOD], "a.jsonl")
    put(tmp_path, [GOOD], "b.jsonl")
    place, made = make(tmp_path)

    assert list(made.days) == ["2026-01-02"]
    assert made.duplicates == 2
    lines = [json.loads(line) for line in (place.root / "set_aside.jsonl").read_bytes().splitlines()]
    assert {line["reason"] for line in lines} == {"duplicate"}
    places = sorted(line["source"] for line in lines)
    assert places[0] == "a.jsonl:1"
    assert places[1] in {"a.jsonl:2", "b.jsonl:1"}


def test_a_day_that_has_lost_its_events_has_no_table(tmp_path: Path) -> None:
    put(tmp_path, [GOOD, GOOD | {"event_id": "e2", "at": "2026-01-03T00:00:00Z"}])
    place, _ = make(tmp_path)
    put(tmp_path, [GOOD])
    _, made = make(tmp_path)

    assert list(made.days) == ["2026-01-02"]
    assert not table_of(place, date(2026, 1, 3)).exists()


def test_a_table_that_was_removed_is_made_again_with_the_same_bytes(tmp_path: Path) -> None:
    put(tmp_path, records(40))
    place, first = make(tmp_path)
    path = table_of(place, date(2026, 1, 2))
    before = path.read_bytes()
    path.unlink()
    _, second = make(tmp_path)

    assert path.read_bytes() == before
    assert contents(first) == contents(second)


def test_days_outside_the_window_are_neither_made_nor_forgotten(tmp_path: Path) -> None:
    put(tmp_path, records(40))
    make(tmp_path, Window(date(2026, 1, 1), date(2026, 1, 2)))
    _, made = make(tmp_path, Window(date(2026, 1, 4), date(2026, 1, 4)))
    assert list(made.days) == ["2026-01-01", "2026-01-02", "2026-01-04"]


@pytest.mark.parametrize(
    ("limits", "limit", "found"),
    [(Limits(max_days_backfill=3), "max_days_backfill", 4), (Limits(max_events_per_run=39), "max_events_per_run", 40)],
)
def test_too_much_names_the_limit_and_how_to_raise_it(tmp_path: Path, limits: Limits, limit: str, found: int) -> None:
    put(tmp_path, records(40))
    with pytest.raises(LimitExceeded, match=limit) as refused:
        make(tmp_path, limits=limits)
    assert f'"{limit}": {found}' in refused.value.hints[0]
