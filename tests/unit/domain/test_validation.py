"""Faults are collected, but not without end."""

import pytest

from recsys.domain.canonical import Json
from recsys.domain.document import CONFIG, MANIFEST, RULES, DocumentKind
from recsys.domain.errors import InvalidRequest
from recsys.domain.recommend import RecommendRequest
from recsys.domain.validation import MOST_FAULTS, convert, did_you_mean

HOSTILE: Json = {f"key-{n}": n for n in range(20_000)}


def test_a_hostile_request_costs_a_hundred_faults_and_no_more() -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert(HOSTILE, RecommendRequest)
    assert len(caught.value.faults) == MOST_FAULTS == 100


@pytest.mark.parametrize(("kind", "value"), [(CONFIG, HOSTILE), (RULES, [1] * 20_000)], ids=["config", "rules"])
def test_so_does_a_hostile_document(kind: DocumentKind, value: Json) -> None:
    with pytest.raises(InvalidRequest) as caught:
        kind.check(value)
    assert len(caught.value.faults) == MOST_FAULTS


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (MANIFEST, {"v": 2, "tenant": "demo", "surface": "home", "current": {}}, "Expected 1, got 2."),
        (
            CONFIG,
            {"algorithm": 7},
            "session_seq, got 7.",
        ),
        (CONFIG, {"algorithm": True}, "session_seq, got true or false."),
    ],
)
def test_a_choice_is_told_with_what_was_sent(kind: DocumentKind, value: Json, said: str) -> None:
    assert next(kind.faults(value)).detail.endswith(said)


def test_no_near_miss_is_looked_for_of_a_word_without_end() -> None:
    assert did_you_mean("surfce", ["surface"]) == "surface"
    assert did_you_mean("a" * 100, ["a" * 101]) == "a" * 101
    assert did_you_mean("a" * 101, ["a" * 101]) is None


def test_what_a_name_may_be_is_told_in_words() -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert({"surface": "a b", "user": {"user_id": "u"}}, RecommendRequest)
    (fault,) = caught.value.faults
    assert fault.detail == "Expected at most 64 letters, digits, _, - and dots, the first a letter or digit, got 'a b'."
