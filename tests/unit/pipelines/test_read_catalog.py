"""Items and vectors that a user brings: what is wrong with them is said with its place."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.pipelines.compute import available
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.kinds.catalog import CATALOG
from recsys.pipelines.read_catalog import read_catalog, read_vectors
from tests.support.pipeline import Bench, inputs

ITEMS: list[dict[str, Any]] = [
    {"item_id": "b", "title": "B", "tags": ["t", "s"], "price": 2.5},
    {"item_id": "a", "tags": ["t"], "brand": "x"},
]


def ndjson(tmp_path: Path, *items: Any) -> Path:
    path = tmp_path / "items.ndjson"
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in items))
    return path


def test_json_lines_csv_and_parquet_of_the_same_items_give_the_same_table(tmp_path: Path) -> None:
    as_csv, as_parquet = tmp_path / "items.CSV", tmp_path / "items.parquet"
    as_csv.write_text("item_id,title,tags,price,brand\nb,B,t|s,2.5,\na,,t,,x\n")
    pq.write_table(pa.Table.from_pylist([{"brand": None, "more": 1} | item for item in ITEMS]), as_parquet)

    table = read_catalog(ndjson(tmp_path, *ITEMS))
    assert table.schema == CATALOG
    assert table.column("item_id").to_pylist() == ["a", "b"]
    for path in (as_csv, as_parquet):
        assert read_catalog(path).drop("price") == table.drop("price")
        assert str(read_catalog(path).column("price")) == str(table.column("price"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"item_id": ""}, r"items\.ndjson:2: .*item_id"),
        ("{bad", r"items\.ndjson:2"),
        ('{"item_id": "c", "attributes": {"a": ' + "[" * 9_000 + "]" * 9_000 + "}}", r"items\.ndjson:2"),
        ({"item_id": "c", "attributes": {"ean": 9_007_199_254_740_993}}, r"'c', .*/attributes/ean.* too large"),
    ],
)
def test_a_wrong_item_is_named(tmp_path: Path, line: Any, said: str) -> None:
    with pytest.raises(PipelineError, match=said) as refused:
        read_catalog(ndjson(tmp_path, ITEMS[0], line))
    assert "take it out" in refused.value.hints[0]


def test_a_parquet_row_that_is_no_item_is_named_and_so_is_a_number_that_json_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "price": [1.0, -1.0]}), path)
    with pytest.raises(PipelineError, match=r"items\.parquet, row 2: .*price"):
        read_catalog(path)
    pq.write_table(pa.Table.from_pylist([{"item_id": "a", "attributes": {"size": float("nan")}}]), path)
    with pytest.raises(PipelineError, match="'a', attributes: nan"):
        read_catalog(path)


@pytest.mark.parametrize("name", ["items.csv", "items.ndjson"])
def test_a_catalog_without_items_is_refused_and_so_is_one_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir()
    with pytest.raises(PipelineError, match="cannot be read"):
        read_catalog(path)
    path.rmdir()
    path.write_bytes(b"\n")
    with pytest.raises(PipelineError, match="has no items"):
        read_catalog(path)


def test_a_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a"]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PipelineError, match=r"items\.parquet cannot be read"):
        read_catalog(path)
    with pytest.raises(PipelineError, match=r"items\.parquet cannot be read"):
        read_vectors(path)


def test_vectors_are_read_in_their_order_and_without_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    pq.write_table(pa.table({"vector": [[1.0], [2.0]], "more": [1, 2], "item_id": ["b", "a"]}), path)
    table = read_vectors(path)
    assert table.column_names == ["item_id", "vector"]
    assert table.column("item_id").to_pylist() == ["b", "a"]

    pq.write_table(pa.table({"id": ["a"], "vector": [[1.0]]}), path)
    with pytest.raises(PipelineError, match="lacks item_id or vector; it has id, vector"):
        read_vectors(path)


def test_an_empty_table_of_items_is_given_all_the_same(bench: Bench) -> None:
    given = inputs(bench.engine, [])
    assert "catalog" not in available(given, None)
    given.catalog = CATALOG.empty_table()
    assert available(given, ["catalog"]) == ["catalog"]
