"""What goes into an artifact comes out of it, and what is wrong is refused in words that help."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc

from recsys.artifacts.codec import FORMATS, KIND_KEY, VERSION_KEY, decode, encode
from recsys.artifacts.neighbours import Neighbours
from recsys.artifacts.sessions import Sessions
from recsys.domain.errors import ArtifactIncompatible
from recsys.domain.manifest import ArtifactKind
from tests.support.tables import MINUTE, ROWS, T0, table

KINDS: tuple[ArtifactKind, ...] = get_args(ArtifactKind)


def refusal_of(kind: ArtifactKind, rows: list[dict[str, Any]]) -> str:
    with pytest.raises(ArtifactIncompatible) as refused:
        encode(kind, table(kind, rows))
    return refused.value.detail


def written(columns: list[Any], schema: Any, batches: int = 1, options: Any = None) -> bytes:
    """A file that somebody else might have written."""
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, schema, options=options) as file:
        for _ in range(batches):
            file.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_every_kind_of_the_manifest_has_a_format() -> None:
    assert set(FORMATS) == set(KINDS) == set(ROWS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_in_comes_out_and_makes_the_same_bytes_again(kind: ArtifactKind) -> None:
    content = encode(kind, table(kind))

    again = decode(kind, content).to_table()

    assert again.schema.equals(FORMATS[kind].long)
    assert encode(kind, again) == content


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_make_an_empty_artifact(kind: ArtifactKind) -> None:
    content = encode(kind, table(kind, []))

    assert decode(kind, content).to_table().num_rows == 0
    no_chunks = pa.table(
        {
            name: pa.chunked_array([], type_)
            for name, type_ in zip(FORMATS[kind].long.names, FORMATS[kind].long.types, strict=True)
        }
    )
    assert encode(kind, no_chunks) == content


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_and_dictionaries_and_wide_types_make_no_difference(kind: ArtifactKind) -> None:
    whole = table(kind)
    columns: list[Any] = []
    for column in whole.columns:
        wide = column.cast(pa.large_string()) if pa.types.is_string(column.type) else column
        columns.append(wide.dictionary_encode() if pa.types.is_large_string(wide.type) and len(columns) < 2 else wide)
    wide = pa.table(columns, names=whole.column_names)
    parts = pa.concat_tables([wide.slice(1), wide.slice(0, 1)])

    assert encode(kind, parts) == encode(kind, whole)


def test_items_stand_in_code_point_order() -> None:
    popular = decode("popularity", encode("popularity", table("popularity")))

    # UTF-16, in which some languages compare, would put the emoji before the last but one.
    assert popular.items.to_list() == ["a", "b", "\uffee", "\U0001f600"]
    assert popular.items.text(3) == "\U0001f600"


def test_neighbours_lie_in_the_file_as_rows_of_ascending_places() -> None:
    content = encode("cooc", table("cooc"))
    cooc = decode("cooc", content)

    assert isinstance(cooc, Neighbours)
    assert cooc.items.to_list() == ["a", "b", "ü", "\U0001f600"]
    assert cooc.starts.tolist() == [0, 2, 3, 3, 4]
    assert cooc.entries.tolist() == [1, 2, 0, 0]
    assert cooc.scores.tolist() == [1.5, 0.5, 2.0, 1.0]
    pages = np.frombuffer(content, np.uint8)
    for array in (cooc.items.utf8, cooc.items.starts, cooc.starts, cooc.entries, cooc.scores):
        assert np.shares_memory(array, pages)
        assert not array.flags.writeable


def test_sessions_stand_in_the_order_of_time_and_give_the_most_recent_of_an_item() -> None:
    sessions = decode("session_knn", encode("session_knn", table("session_knn")))

    assert isinstance(sessions, Sessions)
    assert sessions.times.tolist() == [T0 + MINUTE, T0 + 3 * MINUTE]
    assert [sessions.items.text(each) for each in sessions.entries] == ["a", "c", "a", "b"]
    starts, found = sessions.postings()
    assert (starts.tolist(), found.tolist()) == ([0, 2, 3, 4], [0, 1, 1, 0])


def test_an_item_twice_in_a_session_has_it_once_among_its_sessions() -> None:
    rows = [{"session": 1, "at": T0, "item_id": "a", "position": n} for n in range(3)]
    sessions = decode("session_knn", encode("session_knn", table("session_knn", rows)))

    assert isinstance(sessions, Sessions)
    assert sessions.entries.size == 3
    assert sessions.postings()[1].tolist() == [0]


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [
        ("popularity", [{"item_id": None, "score": 1.0}], "popularity: item_id is null in row 0"),
        ("popularity", [{"item_id": "", "score": 1.0}], "item_id: '' in row 0 is not an id"),
        ("popularity", [{"item_id": "a" * 513, "score": 1.0}], "is not an id: it has 1 to 512 characters"),
        ("popularity", [{"item_id": "a", "score": float("nan")}], "score: nan in row 0 is not a finite number"),
        ("popularity", [{"item_id": "a", "score": -1.0}], "score: -1.0 in row 0 is not a finite number of 0 or more"),
        ("popularity", [{"item_id": "a", "score": 1.0}] * 2, "Rows 0 and 1 have the same item_id"),
        ("cooc", [{"item_id": "a", "neighbor_id": "b", "score": 0.0}], "score: 0.0 in row 0 is not a finite number ab"),
        ("cooc", [{"item_id": "a", "neighbor_id": "a", "score": 1.0}], "neighbor_id: 'a' in row 0 is the item itself"),
        ("cooc", [{"item_id": "a", "neighbor_id": "b", "score": 1.0}] * 2, "have the same item_id, neighbor_id"),
        ("implicit", [{"user_id": "u", "item_id": "b", "score": 1.0}] * 2, "have the same user_id, item_id"),
        ("history", [{"user_id": "u", "item_id": "b", "event_type": "", "at": T0}], "event_type: '' in row 0"),
        (
            "session_knn",
            [
                {"session": 1, "at": T0 + 1, "item_id": "b", "position": 0},
                {"session": 2, "at": T0, "item_id": "b", "position": 0},
            ],
            "session: 2 ended before 1; sessions are numbered in order of time",
        ),
        (
            "session_knn",
            [{"session": 1, "at": T0, "item_id": "b", "position": 0}] * 2,
            "have the same session, position",
        ),
    ],
)
def test_rows_that_are_wrong_are_named(kind: ArtifactKind, rows: list[dict[str, Any]], said: str) -> None:
    assert said in refusal_of(kind, rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"price": -1.0}, "price: -1.0 in row 0 is neither NaN nor a finite number"),
        ({"attributes": "[1]"}, "attributes in row 0 is not a JSON object"),
        ({"tags": ["a", None]}, "tags has a null in a list"),
        ({"tags": [""]}, "tags: '' in row 0 is not an id"),
        ({"title": None}, "title is null in row 0"),
    ],
)
def test_an_item_that_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    assert said in refusal_of("catalog", [ROWS["catalog"][0] | change])


def test_a_history_has_at_most_256_event_types() -> None:
    rows = [{"user_id": "u", "item_id": "i", "event_type": f"t{n}", "at": T0} for n in range(257)]

    encode("history", table("history", rows[:256]))
    assert "257 values; at most 256" in refusal_of("history", rows)


def test_other_columns_are_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(ArtifactIncompatible, match=r"got item, score\. Is 'item' meant to be 'item_id'"):
        encode("popularity", pa.table({"item": ["a"], "score": [1.0]}))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array(["x"]), "at must be a timestamp in UTC, not string"),
        (pa.array([T0], pa.timestamp("us", "Europe/Vienna")), "at must be a timestamp in UTC, not timestamp"),
        (pa.array([T0 * 1000 + 1], pa.timestamp("ns")), "at must be timestamp"),
    ],
)
def test_times_are_in_utc_and_lose_nothing(column: Any, said: str) -> None:
    rows = table("session_knn", ROWS["session_knn"][:1])
    with pytest.raises(ArtifactIncompatible, match=said):
        encode("session_knn", rows.set_column(1, "at", column))


def test_a_zero_is_a_zero_and_a_missing_price_a_missing_price() -> None:
    zeros = [encode("popularity", table("popularity", [{"item_id": "a", "score": z}])) for z in (0.0, -0.0)]
    assert zeros[0] == zeros[1]
    others = []
    for bits in (0x7FF8000000000000, 0xFFF8000000000001):
        price = np.array([bits], np.uint64).view(np.float64)
        item = table("catalog", [ROWS["catalog"][1]])
        others.append(encode("catalog", item.set_column(3, "price", pa.array(price))))
    assert others[0] == others[1]


def test_a_file_that_is_too_large_is_refused() -> None:
    content = encode("cooc", table("cooc"))

    assert decode("cooc", content, max_bytes=len(content)).to_table().num_rows == 4
    with pytest.raises(ArtifactIncompatible, match=f"cooc: The file has {len(content)} bytes; at most 100 are taken"):
        decode("cooc", content, max_bytes=100)
    with pytest.raises(ArtifactIncompatible, match="at most 100"):
        encode("cooc", table("cooc"), max_bytes=100)


def test_a_file_of_another_kind_version_or_layout_is_refused() -> None:
    cooc = encode("cooc", table("cooc"))
    with pytest.raises(ArtifactIncompatible, match="embedding: The file says that it holds cooc"):
        decode("embedding", cooc)
    with pytest.raises(ArtifactIncompatible, match="The file cannot be read"):
        decode("cooc", b"not an Arrow file at all")

    packed = FORMATS["popularity"].packed
    columns = [pa.array(["a"]), pa.array([1.0])]
    said = {KIND_KEY: b"popularity", VERSION_KEY: b"1"}
    assert decode("popularity", written(columns, packed.with_metadata(said))).to_table().num_rows == 1
    with pytest.raises(ArtifactIncompatible, match="version 2 of the format; this release reads 1"):
        decode("popularity", written(columns, packed.with_metadata(said | {VERSION_KEY: b"2"})))
    with pytest.raises(ArtifactIncompatible, match="says that it holds nothing"):
        decode("popularity", written(columns, packed))
    with pytest.raises(ArtifactIncompatible, match="has 2 record batches"):
        decode("popularity", written(columns, packed.with_metadata(said), batches=2))
    nullable = pa.schema([("item_id", pa.string()), ("score", pa.float64())], metadata=said)
    with pytest.raises(ArtifactIncompatible, match="other columns than its format"):
        decode("popularity", written(columns, nullable))


def test_a_compressed_file_is_refused() -> None:
    schema = FORMATS["popularity"].packed.with_metadata({KIND_KEY: b"popularity", VERSION_KEY: b"1"})
    columns = [pa.array([f"{n:05}" for n in range(9_999)]), pa.array(np.zeros(9_999))]
    content = written(columns, schema, options=ipc.IpcWriteOptions(compression="lz4"))

    with pytest.raises(ArtifactIncompatible, match="is compressed"):
        decode("popularity", content)


LISTS = FORMATS["cooc"].packed.field("neighbors").type
SCORES = FORMATS["cooc"].packed.field("scores").type


@pytest.mark.parametrize(
    ("ids", "neighbours", "scores", "said"),
    [
        (["b", "a"], [[], []], [[], []], "not in code point order, or has an id twice: see 'a'"),
        (["a", "a"], [[], []], [[], []], "or has an id twice"),
        (["", "a"], [[], []], [[], []], "has an empty id"),
        (["a", "b"], [[2], []], [[1.0], []], "points outside the 2 items"),
        (["a", "b"], [[-1], []], [[1.0], []], "points outside the 2 items"),
        (["a", "b"], [[1], []], [[], [1.0]], "differ in the lengths of their lists"),
        (["a", "b", "c"], [[2, 1], [], []], [[1.0, 1.0], [], []], "not in order within a list"),
        (["a", "b"], [[1], []], [[0.0], []], "not a finite number above 0"),
        (["a", "b"], [[1], []], [[float("inf")], []], "not a finite number above 0"),
    ],
)
def test_a_file_that_another_writer_got_wrong_is_refused(
    ids: list[str], neighbours: list[list[int]], scores: list[list[float]], said: str
) -> None:
    schema = FORMATS["cooc"].packed.with_metadata({KIND_KEY: b"cooc", VERSION_KEY: b"1"})
    content = written([pa.array(ids), pa.array(neighbours, LISTS), pa.array(scores, SCORES)], schema)

    with pytest.raises(ArtifactIncompatible, match=said):
        decode("cooc", content)


def test_lists_ascend_each_on_its_own() -> None:
    schema = FORMATS["cooc"].packed.with_metadata({KIND_KEY: b"cooc", VERSION_KEY: b"1"})
    lists = [[1, 2], [], [0, 1], []]
    columns = [
        pa.array(["a", "b", "c", "d"]),
        pa.array(lists, LISTS),
        pa.array([[1.0] * len(each) for each in lists], SCORES),
    ]

    assert decode("cooc", written(columns, schema)).to_table().num_rows == 4


@pytest.mark.parametrize("texts", [["unused", "b", "a"], ["b", "a", "b"], ["b", "a", None]])
def test_what_a_dictionary_has_besides_what_stands_in_the_column_makes_no_difference(texts: list[str | None]) -> None:
    codes = [texts.index("a"), texts.index("b")]
    ids = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(texts, pa.string()))
    plain = pa.table({"item_id": ["a", "b"], "score": [1.0, 2.0]})
    assert encode("popularity", pa.table({"item_id": ids, "score": [1.0, 2.0]})) == encode("popularity", plain)
