"""Preconditions: what headers mean, and the order of judgement."""

from datetime import UTC, datetime

import pytest

from recsys.domain.document import Pointer, Version
from recsys.domain.errors import InvalidRequest, PreconditionFailed, PreconditionRequired, VersionMismatch
from recsys.domain.precondition import Preconditions, judge, read_preconditions

A, B = "a" * 64, "b" * 64
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def at(etag: str, revision: int = 7) -> Pointer:
    version = Version(id="1", etag=etag, text="{}", created_at=THEN, created_by_sub="ann")
    return Pointer(version=version, revision=revision, updated_at=THEN, updated_by_sub="bob")


@pytest.mark.parametrize(
    ("lines", "etags"),
    [
        ([f'"{A}"'], {A}),
        ([A], {A}),
        ([A.upper()], {A}),
        ([f'W/"{A}"'], {A}),
        ([f'"{A}", W/"{B}"'], {A, B}),
        ([f'"{A}"', B], {A, B}),
        (["*"], {"*"}),
        (["deadbeef"], {"deadbeef"}),
        ([], set()),
    ],
)
def test_if_match_takes_every_spelling_of_versions(lines: list[str], etags: set[str]) -> None:
    assert read_preconditions(lines, None, None).if_match == etags


@pytest.mark.parametrize(
    ("if_match", "if_revision", "if_none_match"),
    [
        ([""], None, None),
        (["not a version"], None, None),
        ([f'"{A}'], None, None),
        ([f'"{A}" "{B}"'], None, None),
        ([f'"{A}",'], None, None),
        (["*, *"], None, None),
        ([], "-1", None),
        ([], "seven", None),
        ([], "9" * 30, None),
        ([], None, f'"{A}"'),
    ],
)
def test_malformed_headers_are_named(if_match: list[str], if_revision: str | None, if_none_match: str | None) -> None:
    with pytest.raises(InvalidRequest, match="malformed"):
        read_preconditions(if_match, if_revision, if_none_match)


def test_without_preconditions_every_change_may_be_made() -> None:
    assert judge(Preconditions(), at(A), B, required=False)
    assert judge(Preconditions(), None, B, required=False)
    assert judge(Preconditions(), at(A), None, required=False)


def test_nothing_moves_when_the_wanted_version_is_current_however_stale_the_caller() -> None:
    stale = Preconditions(if_match=frozenset({B}), if_revision=1)

    assert not judge(stale, at(A), A, required=True)
    assert not judge(stale, None, None, required=True)


def test_a_mismatch_says_when_nobody_was_faster() -> None:
    said = [
        (Preconditions(if_match=frozenset({B}), if_revision=1), "Somebody was faster"),
        (Preconditions(if_match=frozenset({A}), if_revision=1), "The version is the one you started from, but the doc"),
        (Preconditions(if_revision=9), "The document last moved at revision 4, and If-Revision says 9."),
        (Preconditions(if_match=frozenset({A[:12]})), "If-Match names the current version by 12 of its 64 digits"),
        (Preconditions(if_match=frozenset({B[:12]})), "Somebody was faster"),
    ]
    for preconditions, beginning in said:
        with pytest.raises(VersionMismatch, match=beginning):
            judge(preconditions, at(A, 4), B, required=False)


def test_if_none_match_is_judged_before_equality() -> None:
    with pytest.raises(PreconditionFailed):
        judge(Preconditions(if_none_match=True), at(A), A, required=False)
    assert judge(Preconditions(if_none_match=True), None, A, required=True)


def test_a_required_precondition_is_judged_first() -> None:
    with pytest.raises(PreconditionRequired):
        judge(Preconditions(), at(A), A, required=True)


@pytest.mark.parametrize(
    ("preconditions", "current", "holds"),
    [
        (Preconditions(if_match=frozenset({A})), at(A), True),
        (Preconditions(if_match=frozenset({A, B})), at(A), True),
        (Preconditions(if_match=frozenset({B})), at(A), False),
        (Preconditions(if_match=frozenset("*")), at(A), True),
        (Preconditions(if_match=frozenset("*")), None, False),
        (Preconditions(if_match=frozenset({A})), None, False),
        (Preconditions(if_revision=7), at(A, 7), True),
        (Preconditions(if_revision=5), at(A, 7), False),
        (Preconditions(if_revision=0), None, True),
        (Preconditions(if_revision=7), None, False),
        (Preconditions(if_match=frozenset({A}), if_revision=5), at(A, 7), False),
    ],
)
def test_the_current_version_must_be_the_one_started_from(
    preconditions: Preconditions, current: Pointer | None, holds: bool
) -> None:
    if holds:
        assert judge(preconditions, current, "c" * 64, required=False)
        return
    with pytest.raises(VersionMismatch) as caught:
        judge(preconditions, current, "c" * 64, required=False)
    assert caught.value.extra["updated_by"] == ("bob" if current else None)
