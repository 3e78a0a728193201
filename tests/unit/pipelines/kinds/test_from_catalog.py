"""Signals of the catalog and of vectors."""

import random
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
from recsys.pipelines.kinds.content_sim import content_sim, read_tags
from recsys.pipelines.kinds.embedding import embedding
from recsys.pipelines.settings import ContentSim, Embedding
from tests.support.pipeline import as_dict, silent


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
        "attributes": "",
    }  # fmt: skip
    assert (second["title"], second["created_at"], second["attributes"]) == ("new", UNKNOWN_TIME, '{"a":"é","z":1}')
    assert isnan(second["price"])
    assert catalog([Item(item_id="a", attributes={})]).column("attributes").to_pylist() == ["{}"]
    assert encode("catalog", catalog(items))


def made_content(settings: ContentSim, **tags: str) -> dict[tuple[str, ...], float]:
    return as_dict(content_sim(tagged(**tags), settings, silent))


def test_content_is_the_share_of_the_cosine_of_tf_idf_and_rare_tags_count_more() -> None:
    found = made_content(ContentSim(), a="rc", b="rc", c="c", d="x")
    rare, common = log2(5 / 2), log2(5 / 3)
    expected = common**2 / sqrt((rare**2 + common**2) * common**2)
    assert found["a", "b"] == pytest.approx(1 / (1 + expected), rel=1e-3)
    assert found["a", "c"] == pytest.approx(expected / (1 + expected), rel=1e-3)
    assert not any("d" in pair for pair in found)


@pytest.mark.parametrize("tags", [{"a": "t"}, {"a": "t", "b": "t", "c": "t"}, {"a": "tr", "b": "t", "c": "tx"}])
def test_a_tag_that_every_item_has_tells_nothing_apart_in_a_small_catalog_either(tags: dict[str, str]) -> None:
    assert made_content(ContentSim(), **tags) == {}


def test_a_catalog_without_tags_has_no_neighbours() -> None:
    assert made_content(ContentSim(), a="", b="") == {}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("letters", ["abc", "abcdefghijklmnop"])
def test_content_keeps_exactly_what_a_comparison_of_all_pairs_would_ties_to_the_lower_item(
    seed: int, letters: str
) -> None:
    draw = random.Random(seed)
    shares = [1 / (place + 1) for place in range(len(letters))]
    tags = {f"i{number:03}": "".join(draw.choices(letters, shares, k=draw.randrange(6))) for number in range(150)}
    held = read_tags(tagged(**tags).column("tags").combine_chunks())
    sets = [set(each.tolist()) for each in np.split(held.tags, held.starts[1:-1])]
    expected: dict[tuple[str, ...], float] = {}
    for item, own in enumerate(sets):
        products = [sum(held.weights[list(own & others)]) for others in sets]
        scores = [
            (-product / sqrt(held.norms[item] * held.norms[other]), other)
            for other, product in enumerate(products)
            if product > 0 and other != item
        ]
        kept = sorted(scores)[:7]
        whole = sum(score for score, _ in kept)
        expected |= {(f"i{item:03}", f"i{other:03}"): score / whole for score, other in kept}
    assert made_content(ContentSim(neighbours=7), **tags) == pytest.approx(expected, rel=1e-12)


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
