"""A file of rows: what is refused with which line, and how little of it is held."""

import io
import json
import tracemalloc
from collections.abc import Callable

import pytest

from recsys.control import row_file
from recsys.control.row_file import LoadFormat, RowFile, read_rows
from recsys.domain.catalogue import Dataset, Item, Popularity
from recsys.domain.errors import InvalidRequest

MANY = 40_000


def rows_of(text: str, dataset: Dataset = "popularity", format_: LoadFormat = "ndjson") -> RowFile:
    return RowFile(io.BytesIO(text.encode()), dataset, format_)


def popularity(*names: str) -> str:
    return "\n".join(f'{{"item_id": "{name}", "day": "2026-01-01", "score": 1}}' for name in names)


def peak_bytes(do: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_is_held_of_a_file_is_a_few_bytes_a_row() -> None:
    rows_of(popularity("a")).check()  # what is only made once is made by now
    rows = rows_of(popularity(*(f"item-{number:06}" for number in range(MANY))))
    assert peak_bytes(rows.check) < 20 * MANY
    assert peak_bytes(lambda: sum(1 for _ in rows)) < MANY


def test_a_file_is_read_from_its_beginning_each_time() -> None:
    rows = rows_of(popularity("a", "b"))
    assert [rows.check(), rows.check(), len(list(rows)), len(list(rows))] == [2, 2, 2, 2]


def test_every_line_that_repeats_a_key_names_the_first_one_among_all_faults_in_order() -> None:
    with pytest.raises(InvalidRequest) as caught:
        rows_of(popularity("a", "b", "a", "b", "", "a")).check()
    assert [(fault.line, fault.detail) for fault in caught.value.faults] == [
        (3, "The same item_id, day as in line 1."),
        (4, "The same item_id, day as in line 2."),
        (5, "Must not be empty."),
        (6, "The same item_id, day as in line 1."),
    ]


def test_keys_that_share_a_hash_are_different_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "hash", lambda _: 7, raising=False)
    assert rows_of(popularity("a", "b", "c")).check() == 3
    with pytest.raises(InvalidRequest, match=r"line 3: The same item_id, day as in line 2\."):
        rows_of(popularity("a", "b", "b")).check()


def test_at_most_a_thousand_faults_are_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        rows_of(popularity(*["a"] * 1_500)).check()
    assert [fault.line for fault in caught.value.faults] == list(range(2, 1_002))


def test_a_row_with_many_faults_makes_them_no_more_than_a_thousand() -> None:
    row = json.dumps({f"unknown{number}": 1 for number in range(60)})
    with pytest.raises(InvalidRequest) as caught:
        rows_of("\n".join([row] * 50), "items").check()
    assert len(caught.value.faults) == 1_000


@pytest.mark.parametrize(("first_line", "format_"), [('{"item_id": "a"}', "ndjson"), ("item_id", "csv")])
def test_a_line_without_end_is_not_read_to_its_end(first_line: str, format_: LoadFormat) -> None:
    rows = rows_of(f"{first_line}\n" + "x" * 10_000_000, "items", format_)

    def refused() -> None:
        with pytest.raises(InvalidRequest, match="line 2: A line has at most 1048576 bytes"):
            rows.check()

    assert peak_bytes(refused) < 5_000_000


def test_a_small_file_is_given_as_a_list() -> None:
    found = read_rows(io.BytesIO(popularity("b", "a").encode()), "popularity", "ndjson")
    assert [row.item_id for row in found] == ["b", "a"]


@pytest.mark.parametrize("header", ["item_id,day,score,score", "item_id,day,day,score", "item_id,tags,tags"])
def test_a_column_that_stands_twice_is_refused(header: str) -> None:
    name = next(name for name in header.split(",") if header.count(name) > 1)
    dataset: Dataset = "items" if name == "tags" else "popularity"
    with pytest.raises(InvalidRequest, match=f"line 1: The column '{name}' stands twice in the header"):
        rows_of(f"{header}\na,2026-01-01,1,2\n", dataset, "csv").check()


@pytest.mark.parametrize("cell", ["1_000", "٣", "+5", ".5", "5.", "05", "0x10", "1e", "nan", "inf", "1 000"])
def test_a_number_that_json_would_not_know_is_none_in_csv_either(cell: str) -> None:
    with pytest.raises(InvalidRequest, match="line 2 /score: Expected a number, got a string"):
        rows_of(f"item_id,day,score\na,2026-01-01,{cell}\n", format_="csv").check()


@pytest.mark.parametrize(("cell", "number"), [("1000", 1000.0), ("0.5", 0.5), ("1.5E+2", 150.0), (" 12 ", 12.0)])
def test_numbers_in_csv(cell: str, number: float) -> None:
    (row,) = rows_of(f"item_id,day,score\na,2026-01-01,{cell}\n", format_="csv")
    assert isinstance(row, Popularity)
    assert row.score == number


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_two_ids_that_are_too_long_together_are_refused(format_: LoadFormat) -> None:
    def covisit(first: str, second: str) -> str:
        if format_ == "csv":
            return f"item_id,neighbor_id,day,score\n{first},{second},2026-01-01,1"
        return f'{{"item_id": "{first}", "neighbor_id": "{second}", "day": "2026-01-01", "score": 1}}'

    assert rows_of(covisit("一" * 500, "二" * 333 + "x"), "cooc", format_).check() == 1
    with pytest.raises(
        InvalidRequest, match="/neighbor_id: Together with item_id at most 2500 bytes in UTF-8, got 2501"
    ):
        rows_of(covisit("一" * 500, "二" * 333 + "xx"), "cooc", format_).check()


@pytest.mark.parametrize(
    ("rows", "line", "detail"),
    [
        ("a,One,1,acme\nb,Tw", 3, "Fewer cells than the header names: 2, not 4."),
        ("\na,One,1,acme\n\nb\n", 5, "Fewer cells than the header names: 1, not 4."),
        ("a,One,1,acme,x\n", 2, "More cells than the header names: 5, not 4."),
        ("a,One,1,acme,\n", 2, "More cells than the header names: 5, not 4."),
    ],
)
def test_a_csv_record_has_as_many_cells_as_the_header(rows: str, line: int, detail: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        rows_of(f"item_id,title,price,brand\n{rows}", "items", "csv").check()
    assert [(fault.line, fault.detail) for fault in caught.value.faults] == [(line, detail)]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\n"])
def test_blank_lines_of_csv_are_passed_over(end: str) -> None:
    assert rows_of(f"\nitem_id,title\r\n\na,One\n\n\nb,{end}", "items", "csv").check() == 2


def test_a_csv_cell_may_be_as_long_as_a_line() -> None:
    attributes = json.dumps({"text": "x" * 1_000_000}).replace('"', '""')
    (row,) = rows_of(f'item_id,attributes\na,"{attributes}"\n', "items", "csv")
    assert isinstance(row, Item)
    assert row.attributes == {"text": "x" * 1_000_000}


@pytest.mark.parametrize("record", ['c,"3\nd,4\n', 'c,"3\nd,"4\n', 'c,"3"4\nd,5\n', "c,3\r4\n"])
def test_what_is_not_csv_names_the_line_where_the_record_begins(record: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        rows_of(f"item_id,title\na,1\nb,2\n{record}", "items", "csv").check()
    ((line, detail),) = [(fault.line, fault.detail) for fault in caught.value.faults]
    assert line == 4
    assert detail.startswith("Not CSV, in the record that begins here: ")
    assert "open the file" not in detail


def test_a_fault_of_a_record_of_several_lines_names_the_first() -> None:
    with pytest.raises(InvalidRequest, match="line 2 /price: Expected a number"):
        rows_of('item_id,title,price\na,"one\ntwo",cheap\n', "items", "csv").check()


@pytest.mark.parametrize("count", [1, 300_000])
def test_lines_that_end_with_cr_alone_are_called_that(count: int) -> None:
    with pytest.raises(InvalidRequest, match=r"line 1: The lines end with CR alone; save the file with LF or CRLF"):
        rows_of("item_id,title\r" + "a,1\r" * count, "items", "csv").check()
