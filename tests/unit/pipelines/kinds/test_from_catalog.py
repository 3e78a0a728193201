"""Signals of the catalog and of vectors."""

from datetime import UTC, datetime
from math import isnan, log2, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recsys.artifacts.codec import encode
from recsys.domain.catalogue import Item
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.kinds.catalog import UNKNOWN_TIME, catalog
from recsys.pipelines.kinds.content_sim import content_sim
from recsys.pipelines.kinds.embedding import embedding
from recsys.pipelines.settings import ContentSim, Embedding, Limits
from tests.support.pipeline import Bench, as_dict, silent


def tagged(**tags: str) -> pa.Table:
    return catalog(Item(item_id=item_id, tags=list(letters)) for item_id, letters in tags.items())


def vectors(**rows: list[float]) -> pa.Table:
    return pa.table({"item_id": list(rows), "vector": list(rows.values())})


def test_a_catalog_says_what_is_known_and_the_last_of_an_item_counts() -> None:
    items = [
        Item(item_id="b", title="old"),
        Item(item_id="a", tags=["t", "s"], brand="x", price=2.5, created_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        Item(item_id="b", title="new", attributes={"z": 1, "a": "é"}),
    ]
    first, second = catalog(items).to_pylist()
    assert first == {
        "item_id": "a", "title": "", "tags": ["brand:x", "s", "t"], "price": 2.5, "created_at": 1_000_000,
        "attributes": "{}",
    }  # fmt: skip
    assert (second["title"], second["created_at"], second["attributes"]) == ("new", UNKNOWN_TIME, '{"a":"é","z":1}')
    assert isnan(second["price"])
    assert encode("catalog", catalog(items))


def test_content_is_the_cosine_of_tf_idf_and_rare_tags_count_more(bench: Bench) -> None:
    found = as_dict(content_sim(bench.engine, tagged(a="rc", b="rc", c="c", d="x"), ContentSim(), Limits(), silent))
    rare, common = log2(5 / 2), log2(5 / 3)
    expected = common**2 / sqrt((rare**2 + common**2) * common**2)
    assert found["a", "b"] == pytest.approx(1)
    assert found["a", "c"] == pytest.approx(expected, rel=1e-3)
    assert not any("d" in pair for pair in found)


def test_a_tag_of_too_many_items_says_nothing(bench: Bench) -> None:
    settings = ContentSim(tag_items=2)
    found = as_dict(content_sim(bench.engine, tagged(a="rc", b="rc", c="c"), settings, Limits(), silent))
    assert set(found) == {("a", "b"), ("b", "a")}


def test_a_catalog_without_tags_has_no_neighbours(bench: Bench) -> None:
    assert content_sim(bench.engine, tagged(a="", b=""), ContentSim(), Limits(), silent).num_rows == 0


def test_neighbours_of_vectors_point_the_same_way_and_opposite_ones_are_none() -> None:
    found = as_dict(embedding(vectors(a=[3.0, 0.0], b=[2.0, 2.0], c=[-1.0, 0.0], d=[0.0, 9.0]), Embedding(), silent))
    half = sqrt(1 / 2)
    expected = {("a", "b"): half, ("b", "a"): half, ("b", "d"): half, ("d", "b"): half}
    assert found == pytest.approx(expected, rel=1e-4)


def drawn(count: int) -> dict[str, Any]:
    matrix = np.random.default_rng(5).normal(size=(count, 16))
    return {f"i{number:04}": row.tolist() for number, row in enumerate(matrix)}


def test_rows_in_any_order_give_the_same_bytes() -> None:
    rows = drawn(60)
    backwards = dict(reversed(rows.items()))
    assert encode("embedding", embedding(vectors(**rows), Embedding(neighbours=5), silent)) == encode(
        "embedding", embedding(vectors(**backwards), Embedding(neighbours=5), silent)
    )


def test_an_approximate_index_finds_nearly_all_of_the_exact_neighbours_with_their_scores() -> None:
    table = vectors(**drawn(500))
    exact = as_dict(embedding(table, Embedding(neighbours=10), silent))
    near = as_dict(embedding(table, Embedding(neighbours=10, exact_items=1), silent))
    shared = exact.keys() & near.keys()
    assert len(shared) > 0.95 * len(exact)
    assert all(near[pair] == exact[pair] for pair in shared)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": [1.0], "b": [1.0, 2.0]}, "same length"),
        ({"a": [0.0], "b": [1.0]}, "'a' is zero"),
        ({"a": [1.0], "b": [float("nan")]}, "'b' is zero or not finite"),
    ],
)
def test_vectors_that_have_no_direction_are_refused_by_name(rows: dict[str, list[float]], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        embedding(vectors(**rows), Embedding(), silent)


def test_an_item_twice_is_refused() -> None:
    table = pa.table({"item_id": ["a", "a"], "vector": [[1.0], [2.0]]})
    with pytest.raises(PipelineError, match="unique"):
        embedding(table, Embedding(), silent)
