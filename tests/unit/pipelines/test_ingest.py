"""Whatever a source holds is counted: as an event, as another surface's, or as set aside with its place and reason."""

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.domain.subject import SubjectKeys, subject_key
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.ingest import StagedFile, ingest, rows_of, set_aside_of
from recsys.pipelines.place import Place
from recsys.pipelines.raw_event import Judge
from recsys.storage.source_folder import SourceFolder
from tests.support.pipeline import silent

TENANT_ID = "7c1d3c39-6e3c-4a0e-9d76-5d7f4c1c9a55"
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
SALT = b"0123456789abcdef"
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "type": "view",
    "at": "2026-01-02T03:04:05.000006Z",
    "user_id": "ann",
    "item_id": "a",
}


def stage(
    tmp_path: Path, salt: bytes | None = SALT, most: int = 1_024, now: datetime = NOW
) -> tuple[Place, list[StagedFile]]:
    judge = Judge(TENANT_ID, frozenset({"shop", TENANT_ID}), "home", now, SubjectKeys(salt))
    place = Place.of(tmp_path / "work", TENANT_ID, "home")
    return place, ingest(place, SourceFolder(tmp_path / "in"), judge, most, silent)


def write(tmp_path: Path, content: bytes, name: str = "a.jsonl") -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def aside(place: Place, file: StagedFile) -> list[tuple[str, str]]:
    lines = map(json.loads, set_aside_of(place, file).read_bytes().splitlines())
    return [(line["source"], line["reason"]) for line in lines]


def rows(place: Place, files: Sequence[StagedFile]) -> list[dict[str, Any]]:
    return [row for file in files for row in pq.read_table(rows_of(place, file)).to_pylist()]


def test_an_event_becomes_a_row_with_the_keys_that_serving_uses(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(GOOD | {"session_id": "s", "value": None}).encode() + b"\n")
    place, files = stage(tmp_path)

    assert rows(place, files) == [
        {
            "event_id": "e1",
            "at": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
            "segment": "default",
            "user_id": subject_key(SALT, TENANT_ID, "user_id", "ann"),
            "session_id": subject_key(SALT, TENANT_ID, "session_id", "s"),
            "item_id": "a",
            "event_type": "view",
            "value": None,
            "line": 1,
        }
    ]
    assert files[0].days == {20_455: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{bad", "malformed"),
        (b"[" * 900, "invalid_field"),
        (b'"text"', "invalid_field"),
        (b'{"event_id": "a\xff"}', "bad_utf8"),
        (json.dumps(GOOD).encode()[:-1] + b', "unknown": "\xff"}', "bad_utf8"),
        (b'{"event_id": "a\x00b"}', "nul"),
        (json.dumps(GOOD | {"item_id": "a\0b"}).encode(), "nul"),
        (json.dumps(GOOD | {"user": {"user_id": "a\0b"}}).encode(), "nul"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "event_id"}).encode(), "missing_field"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "type"}).encode(), "missing_field"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "at"}).encode(), "missing_field"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "item_id"}).encode(), "missing_field"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "user_id"}).encode(), "no_user"),
        (json.dumps(GOOD | {"type": "glance"}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"item_id": "x" * 513}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"value": -1}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"at": "2026-01-02T03:04:05"}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"received_at": "2026-01-02T03:04:05"}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"received_at": "0001-01-01T00:00:00"}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"received_at": "0001-01-01T00:00:00+05:00"}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"received_at": "9999-12-31T23:59:59-01:00"}).encode(), "invalid_field"),
        (json.dumps(GOOD | {"tenant_id": "other"}).encode(), "wrong_tenant"),
        (json.dumps(GOOD | {"at": "2026-01-11T12:00:01Z"}).encode(), "future"),
        (json.dumps(GOOD | {"at": "1999-12-31T23:59:59Z"}).encode(), "too_early"),
        (b"x" * 2_000, "line_too_long"),
    ],
)
def test_a_bad_line_is_set_aside_with_its_place_and_the_next_one_counts(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    write(tmp_path, b"\n" + line + b"\n" + json.dumps(GOOD | {"event_id": "next"}).encode() + b"\n")
    place, (file,) = stage(tmp_path)

    assert aside(place, file) == [("a.jsonl:2", reason)]
    assert file.set_aside == {reason: 1}
    assert [row["event_id"] for row in rows(place, [file])] == ["next"]


def test_a_line_of_ten_megabytes_is_never_held_and_its_size_is_told(tmp_path: Path) -> None:
    write(tmp_path, b'{"event_id": "' + b"x" * 10_000_000 + b'"}\n' + json.dumps(GOOD).encode() + b"\n")
    place, (file,) = stage(tmp_path)

    line = json.loads(set_aside_of(place, file).read_bytes())
    assert line["detail"] == "The line has 10,000,017 bytes, of 1,024 allowed."
    assert len(line["excerpt"]) < 2_100
    assert file.events == 1


def test_what_a_killed_writer_left_is_unfinished_but_a_whole_last_line_counts(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(GOOD).encode() + b'\n{"event_id": "e', "cut.jsonl")
    write(tmp_path, json.dumps(GOOD).encode(), "whole.jsonl")
    place, (cut, whole) = stage(tmp_path)

    assert aside(place, cut) == [("cut.jsonl:2", "unfinished")]
    assert (whole.events, whole.set_aside) == (1, {})


def test_events_of_other_surfaces_are_counted_and_late_and_disordered_ones_too(tmp_path: Path) -> None:
    lines = [
        GOOD | {"surface": "pdp"},
        GOOD | {"received_at": "2026-01-03T00:00:00Z"},
        GOOD | {"event_id": "e2", "at": "2026-01-01T00:00:00Z"},
    ]
    write(tmp_path, "".join(json.dumps(line) + "\n" for line in lines).encode())
    _, (file,) = stage(tmp_path)

    assert (file.elsewhere, file.late, file.out_of_order, file.events) == (1, 1, 1, 2)


def test_a_line_of_the_service_s_log_is_understood_without_a_salt(tmp_path: Path) -> None:
    line = {
        "schema": "event_v1", "tenant_id": TENANT_ID, "event_id": "e", "type": "click", "surface": "home",
        "subject": "0" * 32, "session": "1" * 32, "occurred_at": "2026-01-02T00:00:00Z",
        "received_at": "2026-01-02T00:00:01Z", "item_id": "a", "request_id": "r",
    }  # fmt: skip
    write(tmp_path, json.dumps(line).encode() + b"\n")
    place, files = stage(tmp_path, salt=None)

    (row,) = rows(place, files)
    assert (row["user_id"], row["session_id"], row["event_type"]) == ("0" * 32, "1" * 32, "click")


@pytest.mark.parametrize(
    "who",
    [
        {"user_id": "ann", "session_id": "s"},
        {"user": {"user_id": "ann"}, "session_id": "s"},
        {"user_id": "ann", "user": {"session_id": "s"}},
        {"user_id": "ann", "session_id": "s", "user": {"name": "Ann", "country": 7}},
        {"user_id": "another", "user": {"user_id": "ann", "session_id": "s"}},
    ],
)
def test_ids_stand_under_user_or_at_the_top_or_some_here_and_some_there(tmp_path: Path, who: dict[str, Any]) -> None:
    write(tmp_path, json.dumps({key: GOOD[key] for key in GOOD if key != "user_id"} | who).encode() + b"\n")
    place, files = stage(tmp_path)
    (row,) = rows(place, files)
    assert row["user_id"] == subject_key(SALT, TENANT_ID, "user_id", "ann")
    assert row["session_id"] == subject_key(SALT, TENANT_ID, "session_id", "s")


def test_raw_users_without_a_salt_are_refused_since_serving_would_not_know_them(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(GOOD).encode() + b"\n")
    with pytest.raises(PipelineError, match="there is no salt"):
        stage(tmp_path, salt=None)


def test_jsonl_csv_and_parquet_of_the_same_events_give_the_same_rows(tmp_path: Path) -> None:
    records = [GOOD | {"session_id": "s", "value": 1.5}, GOOD | {"event_id": "e2", "item_id": 'with "quotes", é'}]
    write(tmp_path, "".join(json.dumps(record) + "\n" for record in records).encode(), "1.jsonl")
    head = "event_id,type,at,user_id,item_id,session_id,value,ignored\n"
    first = "e1,view,2026-01-02T03:04:05.000006Z,ann,a,s,1.5,x\n"
    second = 'e2,view,2026-01-02T03:04:05.000006Z,ann,"with ""quotes"", é",,,\n'
    write(tmp_path, (head + first + second).encode(), "2.csv")
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    table = pa.Table.from_pylist([{"value": None, "session_id": None} | record | {"at": at} for record in records])
    pq.write_table(table, tmp_path / "in" / "3.parquet")
    place, files = stage(tmp_path)

    per_file = [[{**row, "line": 0} for row in rows(place, [file])] for file in files]
    assert len(per_file[0]) == 2
    assert per_file[0] == per_file[1] == per_file[2]


def test_a_csv_row_of_another_length_is_set_aside_and_one_without_ids_is_refused(tmp_path: Path) -> None:
    write(tmp_path, b"event_id,type\na,view,more\n", "a.csv")
    place, (file,) = stage(tmp_path)
    assert aside(place, file) == [("a.csv:2", "malformed")]

    write(tmp_path, b"\xef\xbb\xbfevent_id;type\na;view\n", "a.csv")
    with pytest.raises(PipelineError, match=r"a\.csv: .*separated by semicolons"):
        stage(tmp_path)

    write(tmp_path, b"event_id,type,type\na,view,click\n", "a.csv")
    with pytest.raises(PipelineError, match="The column 'type' stands twice"):
        stage(tmp_path)

    write(tmp_path, b"id,type\na,view\n", "a.csv")
    with pytest.raises(PipelineError, match="no column event_id"):
        stage(tmp_path)


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(GOOD).encode() + b"\n")
    place, (first,) = stage(tmp_path)
    written = rows_of(place, first).stat().st_mtime_ns
    _, (same,) = stage(tmp_path)
    assert (same.key, rows_of(place, same).stat().st_mtime_ns) == (first.key, written)

    write(tmp_path, (json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"event_id": "e2"}) + "\n").encode())
    _, (grown,) = stage(tmp_path)
    assert grown.events == 2
    assert not rows_of(place, first).exists()


def test_an_empty_source_says_what_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(PipelineError, match="no files") as refused:
        stage(tmp_path)
    assert ".jsonl" in refused.value.hints[0]


def test_set_aside_lines_are_json_even_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path, b"\xff\xfe\n")
    place, (file,) = stage(tmp_path)
    line = msgspec.json.decode(set_aside_of(place, file).read_bytes())
    assert line["excerpt"] == "\\xff\\xfe"


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.NDJSON.GZ", "a.csv.gz"])
def test_packed_files_are_read_like_others(tmp_path: Path, name: str) -> None:
    lines = json.dumps(GOOD) if "csv" not in name else ",".join(GOOD) + "\n" + ",".join(GOOD.values())
    write(tmp_path, gzip.compress(lines.encode() + b"\n{bad\n"), name)
    place, (file,) = stage(tmp_path)
    assert (file.events, [reason for _, reason in aside(place, file)]) == (1, ["malformed"])
    assert rows(place, [file])[0]["item_id"] == "a"


@pytest.mark.parametrize("content", [b"not packed", gzip.compress(json.dumps(GOOD).encode() * 500)[:-9]])
def test_a_packed_file_that_is_not_whole_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, content, "a.jsonl.gz")
    with pytest.raises(PipelineError, match=r"a\.jsonl\.gz cannot be unpacked"):
        stage(tmp_path)


def test_a_line_that_is_too_long_when_unpacked_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, gzip.compress(b"x" * 5_000_000 + b"\n" + json.dumps(GOOD).encode() + b"\n"), "a.jsonl.gz")
    place, (file,) = stage(tmp_path)
    assert (file.events, aside(place, file)) == (1, [("a.jsonl.gz:1", "line_too_long")])


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path: Path) -> None:
    write(tmp_path, b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\n")
    _, (file,) = stage(tmp_path)
    assert (file.events, file.set_aside) == (1, {})


def test_a_first_line_of_a_byte_order_mark_alone_is_empty(tmp_path: Path) -> None:
    table = ",".join(GOOD) + "\n" + ",".join(GOOD.values()) + "\n"
    write(tmp_path, b"\xef\xbb\xbf\n" + table.encode(), "a.csv")
    write(tmp_path, b"\xef\xbb\xbf", "empty.csv")
    _, files = stage(tmp_path)
    assert [(file.events, file.set_aside) for file in files] == [(1, {}), (0, {})]


def test_ids_that_parquet_keeps_as_whole_numbers_are_those_of_a_csv(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    table = pa.table(
        {"event_id": [1, 2], "type": ["view"] * 2, "at": [at] * 2, "item_id": [7, 8], "user_id": [5, None]}
    )
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    place, (file,) = stage(tmp_path)
    assert [(row["event_id"], row["item_id"]) for row in rows(place, [file])] == [("1", "7")]
    assert rows(place, [file])[0]["user_id"] == subject_key(SALT, TENANT_ID, "user_id", "5")
    assert aside(place, file) == [("a.parquet:2", "no_user")]


def test_a_file_that_does_not_say_what_it_is_is_refused(tmp_path: Path) -> None:
    write(tmp_path, b"hello", "notes.txt")
    judge = Judge(TENANT_ID, frozenset({"shop"}), "home", NOW, SubjectKeys(SALT))
    with pytest.raises(PipelineError, match=r"notes\.txt does not say what it is") as refused:
        ingest(Place.of(tmp_path, TENANT_ID, "home"), SourceFolder(tmp_path / "in" / "notes.txt"), judge, 99, silent)
    assert ".jsonl" in refused.value.hints[0]
