"""The retail rows: exactly, from a handful of invoices; and in the large, from the shipped year."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pytest

from recsys.demo import queries
from recsys.demo.categories import CATEGORIES, OTHER
from recsys.demo.naming import MAX_WORDS, PRICE_BANDS
from recsys.demo.retail import SHIPPED_PARQUET, RetailFiles, build, write_events
from recsys.domain.catalogue import ROW_KEYS, ROW_TYPES, Dataset

pytestmark = pytest.mark.xdist_group("retail")  # the shipped year is built once, not once per worker

DATASETS: tuple[Dataset, ...] = ("items", "popularity", "cooc")
Rows = list[dict[str, Any]]


class Line(NamedTuple):
    """One line of an invoice, with the columns of the parquet."""

    invoice_no: str
    stock_code: str
    description: str | None
    unit_price: float = 1.0
    quantity: int = 1
    invoice_date: str = "2011-01-03 10:00:00"
    customer_id: int | None = 17850
    country: str = "United Kingdom"


def write_parquet(path: Path, lines: list[Line]) -> Path:
    with duckdb.connect() as database:
        database.execute(
            "create table lines (invoice_no varchar, stock_code varchar, description varchar, unit_price double, "
            "quantity integer, invoice_date timestamp, customer_id integer, country varchar)"
        )
        database.executemany("insert into lines values (?, ?, ?, ?, ?, ?, ?, ?)", lines)
        database.execute("copy lines to $path (format parquet)", {"path": str(path)})
    return path


def quiet(step: str, done: int, total: int) -> None:
    """Report to nobody."""


def build_from(folder: Path, lines: list[Line]) -> RetailFiles:
    return build(write_parquet(folder / "lines.parquet", lines), folder / "out", quiet)


def read(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


MUG, TOWEL = "RED TEA MUG", "TEA  TOWEL SET OF 2 "
SALES = [
    Line("500001", "10001", MUG, 2.5, quantity=6),
    Line("500001", "10001", MUG, 2.5, quantity=6),  # the whole line again
    Line("500001", "10001", MUG, 2.5, quantity=2),  # the same product again
    Line("500001", "10002a", TOWEL, 1.25),
    Line("500002", "10002A", "TEA TOWEL SET OF 2", 1.5, invoice_date="2011-01-03 23:59:00", customer_id=None),
    Line("500002", " 10001 ", "DAMAGED RED MUG", 3.5, invoice_date="2011-01-03 23:59:00", customer_id=None),
    Line("500003", "10001", MUG, 2.5, invoice_date="2011-01-04 00:00:00"),
]
NO_SALES = [
    Line("C500004", "10001", MUG, 2.5, quantity=-6, invoice_date="2011-01-05 08:00:00"),
    Line("c500005", "10001", MUG, 2.5, invoice_date="2011-01-05 08:00:00"),
    Line("500006", "10001", "damaged", 0.0, quantity=-3, invoice_date="2010-12-01 08:00:00"),
    Line("500007", "10001", MUG, 2.5, quantity=-1, invoice_date="2010-12-01 08:00:00"),
    Line("500008", "10001", MUG, 0.0, invoice_date="2010-12-01 08:00:00"),
    Line("500009", "10001", MUG, -1.0, invoice_date="2010-12-01 08:00:00"),
    *(
        Line("500001", code, description, 18.0)
        for code, description in [
            ("POST", "POSTAGE"),
            ("DOT", "DOTCOM POSTAGE"),
            ("C2", "CARRIAGE"),
            ("M", "Manual"),
            ("m", "MANUAL"),
            ("D", "Discount"),
            ("S", "SAMPLES"),
            ("B", "ADJUST BAD DEBT"),
            ("CRUK", "CRUK Commission"),
            ("PADS", "PADS TO MATCH ALL CUSHIONS"),
            ("BANK CHARGES", "BANK CHARGES"),
            ("AMAZONFEE", "AMAZON FEE"),
            ("GIFT_0001_20", "GIFT VOUCHER"),
            ("22016", "Dotcomgiftshop Gift Voucher £100.00"),
            ("23444", "Next Day Carriage"),
            ("23574", "PACKING CHARGE"),
        ]
    ),
    *(Line("500001", f"1010{n}", junk) for n, junk in enumerate(["?", "check", "Damaged", "wet/rusty", "", None])),
]


def test_items_have_their_usual_name_median_price_and_first_sale(tmp_path: Path) -> None:
    files = build_from(tmp_path, SALES + NO_SALES)
    assert read(files.items) == [
        {
            "item_id": "10001",
            "title": "Red Tea Mug",
            "tags": ["price:2-5"],
            "category": "kitchen",
            "price": 2.5,
            "created_at": "2011-01-03T10:00:00Z",
        },
        {
            "item_id": "10002A",
            "title": "Tea Towel Set of 2",
            "tags": ["price:under-2"],
            "category": "textiles",
            "price": 1.38,  # halfway between 1.25 and 1.5, to the penny
            "created_at": "2011-01-03T10:00:00Z",
        },
    ]


def test_popularity_counts_invoices_by_day(tmp_path: Path) -> None:
    files = build_from(tmp_path, SALES + NO_SALES)
    assert read(files.popularity) == [
        {"item_id": "10001", "day": "2011-01-03", "score": 2},
        {"item_id": "10001", "day": "2011-01-04", "score": 1},
        {"item_id": "10002A", "day": "2011-01-03", "score": 2},
    ]
    assert files.rows == {"items": 2, "popularity": 3, "cooc": 0}


def test_title_is_the_most_frequent_name_and_the_smaller_of_equals(tmp_path: Path) -> None:
    names = [
        "BLUE MUG",
        "AZURE MUG",
        "BLUE  MUG",
        "AZURE MUG",
        "a lower-case note",
        "a lower-case note",
        "a lower-case note",
    ]
    files = build_from(tmp_path, [Line(f"50000{n}", "10001", name) for n, name in enumerate(names)])
    assert [item["title"] for item in read(files.items)] == ["Azure Mug"]


def test_cooc_counts_shared_invoices_in_both_directions_on_the_last_day(tmp_path: Path) -> None:
    lines = [
        Line(f"50000{n}", code, "MUG", invoice_date=f"2011-01-0{n} 10:00:00")
        for n in range(1, 7)
        for code in ("10001", "10002")
    ]
    four_times = [Line(f"50000{n}", "10003", "JUG") for n in range(1, 5)]
    cancelled = [Line(f"C50000{n}", code, "MUG", quantity=-1) for n in range(5) for code in ("10001", "10003")]
    files = build_from(tmp_path, lines + lines + four_times + cancelled)
    assert read(files.cooc) == [
        {"item_id": "10001", "neighbor_id": "10002", "day": "2011-01-06", "score": 6},
        {"item_id": "10002", "neighbor_id": "10001", "day": "2011-01-06", "score": 6},
    ]


def test_cooc_keeps_the_best_neighbours_ties_by_code_point(tmp_path: Path) -> None:
    # by code point "10000B" stands between "10000" and "10001"; "10099" comes last of all, but meets "10000" once more
    codes = [f"100{n:02}" for n in range(queries.NEIGHBOURS_PER_ITEM + 4)] + ["10000B", "10099"]
    lines = [Line(f"50000{n}", code, "MUG") for n in range(queries.MIN_TOGETHER) for code in codes]
    lines += [Line("500010", code, "MUG") for code in ("10000", "10099")]
    files = build_from(tmp_path, lines)
    neighbours = [row["neighbor_id"] for row in read(files.cooc) if row["item_id"] == "10000"]
    by_code_point = sorted(code for code in codes if code not in {"10000", "10099"})
    assert neighbours == [*by_code_point[: queries.NEIGHBOURS_PER_ITEM - 1], "10099"]


def test_progress_is_told_before_each_step_and_at_the_end(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build(write_parquet(tmp_path / "lines.parquet", SALES), tmp_path / "out", lambda *step: told.append(step))
    assert [done for _, done, _ in told] == [0, 1, 2, 3, 4, 5]
    assert {total for _, _, total in told} == {5}
    assert told[-1][0] == "done"


def test_a_parquet_without_sales_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to show"):
        build_from(tmp_path, NO_SALES)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> RetailFiles:
    return build(SHIPPED_PARQUET, tmp_path_factory.mktemp("retail"), quiet)


def path_of(files: RetailFiles, dataset: Dataset) -> Path:
    return {"items": files.items, "popularity": files.popularity, "cooc": files.cooc}[dataset]


def test_the_shipped_year_builds_the_same_bytes_again(shipped: RetailFiles, tmp_path: Path) -> None:
    again = build(SHIPPED_PARQUET, tmp_path, quiet)
    for dataset in DATASETS:
        assert path_of(again, dataset).read_bytes() == path_of(shipped, dataset).read_bytes(), dataset
    assert again.showcase == shipped.showcase


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_shipped_year_holds_what_the_bulk_load_accepts(shipped: RetailFiles, dataset: Dataset) -> None:
    decoder = msgspec.json.Decoder(ROW_TYPES[dataset])
    rows = decoder.decode_lines(path_of(shipped, dataset).read_bytes())
    keys = [tuple(getattr(row, name) for name in ROW_KEYS[dataset]) for row in rows]
    assert keys == sorted(set(keys)), "in key order, each once"
    assert len(rows) == shipped.rows[dataset]


def test_the_shipped_year_has_a_sensible_size(shipped: RetailFiles) -> None:
    assert 3_700 <= shipped.rows["items"] <= 3_900
    assert 250_000 <= shipped.rows["popularity"] <= 300_000
    assert 100_000 <= shipped.rows["cooc"] <= 250_000


def test_the_shipped_year_has_only_products(shipped: RetailFiles) -> None:
    items = read(shipped.items)
    known = {item["item_id"] for item in items}
    assert all(re.fullmatch(r"[0-9]{5}[A-Z]{0,2}|DCGS[0-9A-Z]+", item_id) for item_id in known)
    assert {row["item_id"] for row in read(shipped.popularity)} == known
    cooc = read(shipped.cooc)
    assert {row["item_id"] for row in cooc} | {row["neighbor_id"] for row in cooc} <= known
    assert not [item["title"] for item in items if re.search(r"(?i)postage|voucher|day carriage|manual", item["title"])]


def test_the_shipped_year_has_no_cancellations(shipped: RetailFiles) -> None:
    """Counted a second way, without the build's own SQL: invoices of the best-known product."""
    with duckdb.connect() as database:
        found = database.execute(
            "select count(distinct invoice_no) from read_parquet($parquet) where upper(stock_code) = '85123A' "
            "and invoice_no not like 'C%' and quantity > 0 and unit_price > 0",
            {"parquet": str(SHIPPED_PARQUET)},
        ).fetchone()
    assert found == (sum(row["score"] for row in read(shipped.popularity) if row["item_id"] == "85123A"),)


def test_the_shipped_items_have_valid_tags_and_categories(shipped: RetailFiles) -> None:
    items = read(shipped.items)
    for item in items:
        words = [tag for tag in item["tags"] if not tag.startswith("price:")]
        assert [tag for tag in item["tags"] if tag in PRICE_BANDS] == item["tags"][-1:]
        assert len(words) <= MAX_WORDS
        assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", word) for word in words), item
        assert item["category"] in CATEGORIES
        assert item["price"] > 0
        assert "2010-12-01T00:00:00Z" <= item["created_at"] <= "2011-12-10T00:00:00Z"
    categories = Counter(item["category"] for item in items)
    assert set(categories) == set(CATEGORIES)
    assert categories[OTHER] < 0.1 * len(items)
    carriers = Counter(tag for item in items for tag in item["tags"] if tag not in PRICE_BANDS)
    assert 200 <= len(carriers) <= 500


def test_the_shipped_neighbours_are_few_and_strong(shipped: RetailFiles) -> None:
    rows = read(shipped.cooc)
    assert max(Counter(row["item_id"] for row in rows).values()) == queries.NEIGHBOURS_PER_ITEM
    assert min(row["score"] for row in rows) >= queries.MIN_TOGETHER
    assert {row["day"] for row in rows} == {"2011-12-09"}
    assert not [row for row in rows if row["item_id"] == row["neighbor_id"]]


def test_the_shipped_showcase_is_worth_showing(shipped: RetailFiles) -> None:
    showcase = shipped.showcase
    neighbours = Counter(row["item_id"] for row in read(shipped.cooc))
    assert neighbours[showcase.anchor.item_id] == queries.NEIGHBOURS_PER_ITEM
    assert showcase.anchor.title == "Roses Regency Teacup and Saucer"
    assert showcase.bestseller.title == "White Hanging Heart T-Light Holder"
    assert (showcase.in_season.category, showcase.tag_out_of_season) == ("christmas", "easter")


def test_sales_become_events_of_sessions_and_users_once_per_invoice_and_product(tmp_path: Path) -> None:
    lines = [
        Line("1", "11111", "RED CUP"),
        Line("1", "11111", "RED CUP", quantity=2),
        Line("2", "22222", "BLUE CUP", customer_id=None, invoice_date="2011-01-02 09:00:00"),
        Line("C3", "11111", "RED CUP", quantity=-1),
        Line("4", "POST", "POSTAGE"),
    ]
    path, catalog = tmp_path / "events.jsonl", tmp_path / "items.ndjson"
    assert write_events(write_parquet(tmp_path / "lines.parquet", lines), path, catalog=catalog) == 2
    first, second = read(path)
    assert len({first.pop("event_id"), second.pop("event_id")}) == 2
    assert first == {
        "type": "purchase",
        "at": "2011-01-02T09:00:00Z",
        "item_id": "22222",
        "user_id": None,
        "session_id": "2",
    }
    assert second == {
        "type": "purchase", "at": "2011-01-03T10:00:00Z", "item_id": "11111", "user_id": "customer-17850", "session_id": "1",
    }  # fmt: skip
    assert [item["item_id"] for item in read(catalog)] == ["11111", "22222"]
