"""One table from code to status, and one shape for every error."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from litestar.exceptions import MethodNotAllowedException, NotFoundException, TooManyRequestsException

from recsys.domain import errors
from recsys.domain.errors import Fault, RecsysError
from recsys.service.problem import STATUS, problem

ROOT = Path(__file__).resolve().parents[3]


def all_errors(base: type[RecsysError] = RecsysError) -> set[type[RecsysError]]:
    return {base} | {each for child in base.__subclasses__() for each in all_errors(child)}


def test_every_error_has_a_status() -> None:
    assert {each.code for each in all_errors()} <= STATUS.keys()


def test_a_problem_holds_what_rfc_9457_asks_for() -> None:
    found = problem(errors.TenantNotFound(), "r1")
    assert msgspec.json.decode(found.body) == {
        "type": "urn:recsys:problem:tenant-not-found",
        "title": "Tenant not found",
        "status": 404,
        "detail": "There is no such tenant, or you have no access to it.",
        "code": "RECSYS_TENANT_NOT_FOUND",
        "request_id": "r1",
    }
    assert dict(found.headers)[b"content-type"] == b"application/problem+json"


def test_further_members_of_an_error_go_along() -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    error = errors.VersionMismatch(
        current_version="ab", current_revision=7, updated_by="ada", updated_at=at, differs=["/weights/pop"]
    )
    body = msgspec.json.decode(problem(error, "r").body)
    assert (body["current_revision"], body["differs"]) == (7, ["/weights/pop"])
    assert body["updated_at"] == "2025-01-01T00:00:00Z"


def test_faults_are_listed() -> None:
    error = errors.InvalidRequest(faults=[Fault("/a", "Wrong.", "b"), Fault("", "Wrong too.", line=3)])
    body = msgspec.json.decode(problem(error, "r").body)
    assert body["errors"] == [
        {"pointer": "/a", "detail": "Wrong.", "did_you_mean": "b"},
        {"pointer": "", "detail": "Wrong too.", "line": 3},
    ]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFoundException(), 404, "RECSYS_NOT_FOUND"),
        (MethodNotAllowedException(headers={"allow": "GET"}), 405, "RECSYS_METHOD_NOT_ALLOWED"),
        (TooManyRequestsException(), 400, "RECSYS_INVALID_REQUEST"),
        (KeyError("secret"), 500, "RECSYS_INTERNAL"),
    ],
)
def test_what_others_raise_becomes_a_problem_too(error: Exception, status: int, code: str) -> None:
    found = problem(error, "r")
    assert (found.status, found.code) == (status, code)
    assert b"secret" not in found.body


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (errors.Unauthenticated(), (b"www-authenticate", b'Bearer realm="recsys"')),
        (errors.MethodNotAllowed(allow=["GET", "PUT"]), (b"allow", b"GET, PUT")),
        (errors.Overloaded(), (b"retry-after", b"1")),
        (errors.NotReady(), (b"retry-after", b"1")),
    ],
)
def test_headers_that_a_status_asks_for(error: Exception, header: tuple[bytes, bytes]) -> None:
    assert header in problem(error, "r").headers
