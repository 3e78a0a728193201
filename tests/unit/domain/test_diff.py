"""What differs between two documents."""

import pytest

from recsys.domain.canonical import Json
from recsys.domain.diff import differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["changed /a"]),
        ({"a": 1}, {"b": 1}, ["removed /a", "added /b"]),
        ({"a": {"b/c": 1}}, {"a": {"b/c": 2}}, ["changed /a/b~1c"]),
        ([1, 2, 3], [0, 1, 2, 3], ["added /0"]),
        ([1, 2, 3], [1, 3], ["removed /1"]),
        ([1, 2, 3], [1, 2, 3, 4], ["added /3"]),
        ([{"id": "a", "v": 1}, {"id": "b"}], [{"id": "a", "v": 2}, {"id": "b"}], ["changed /0/v"]),
        ([1, 1], [1], ["removed /1"]),
        ([], {}, ["changed "]),
        (None, False, ["changed "]),
        ([[1]], [[2]], ["changed /0/0"]),
        ([[1], [2]], [[0], [1], [2]], ["added /0"]),
        ([[1, [2, 3]], [4]], [[1, [2]], [4]], ["removed /0/1/1"]),
        ([[1]], [[True]], ["changed /0/0"]),
        ([{"a": [0]}, {"b": 1}], [{"a": [False]}, {"b": 1}], ["changed /0/a/0"]),
        ([[1]], [[1.0]], []),
        ([[]], [{}], ["changed /0"]),
        ([{"a": 1}], [{"b": 1}], ["removed /0/a", "added /0/b"]),
    ],
)
def test_differences(before: Json, after: Json, expected: list[str]) -> None:
    assert [f"{each.op} {each.pointer}" for each in differences(before, after)] == expected


def test_arrays_in_arrays_are_compared_as_deep_as_documents_go() -> None:
    before: Json = 1
    after: Json = 2
    for _ in range(60):
        before, after = [before], [after]

    assert [each.pointer for each in differences(before, after)] == ["/0" * 60]
