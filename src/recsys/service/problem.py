"""Every error as a problem document (RFC 9457): one table from code to status, one place that writes the body."""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec
from litestar.exceptions import HTTPException, ValidationException

from recsys.domain.errors import (
    Fault,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RecsysError,
    UnsupportedMediaType,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS = {
    "RECSYS_INVALID_REQUEST": 400,
    "RECSYS_UNAUTHENTICATED": 401,
    "RECSYS_FORBIDDEN": 403,
    "RECSYS_TENANT_NOT_FOUND": 404,
    "RECSYS_CONFIG_NOT_FOUND": 404,
    "RECSYS_RULES_NOT_FOUND": 404,
    "RECSYS_MANIFEST_NOT_FOUND": 404,
    "RECSYS_VERSION_NOT_FOUND": 404,
    "RECSYS_NOT_FOUND": 404,
    "RECSYS_METHOD_NOT_ALLOWED": 405,
    "RECSYS_VERSION_MISMATCH": 409,
    "RECSYS_PRECONDITION_FAILED": 412,
    "RECSYS_PAYLOAD_TOO_LARGE": 413,
    "RECSYS_UNSUPPORTED_MEDIA_TYPE": 415,
    "RECSYS_UNPROCESSABLE_ENTITY": 422,
    "RECSYS_EXPLAIN_TOO_LARGE": 422,
    "RECSYS_ARTIFACT_INCOMPATIBLE": 422,
    "RECSYS_VERSION_QUARANTINED": 422,
    "RECSYS_FROZEN": 423,
    "RECSYS_PRECONDITION_REQUIRED": 428,
    "RECSYS_RATE_LIMITED": 429,
    "RECSYS_INTERNAL": 500,
    "RECSYS_OVERLOADED": 503,
    "RECSYS_NOT_READY": 503,
}

_INTERNAL = "Something went wrong on our side. The log has the details under this request id."
_OTHER_STATUS: dict[int, type[RecsysError]] = {
    404: NotFound,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}


class ProblemDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error (RFC 9457); some codes have further members, which their descriptions name."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Fault] = []


class Problem(NamedTuple):
    """An error as it goes over the wire, whoever sends it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    code: str


def problem(error: Exception, request_id: str) -> Problem:
    """Turn whatever was raised into its problem document; what nobody foresaw goes to the log with its traceback."""
    known = as_recsys_error(error)
    if known is None:
        log.error("request %s failed", request_id, exc_info=error)
        known = RecsysError(_INTERNAL)
    status = STATUS[known.code]
    document = {
        "type": f"urn:recsys:problem:{_words(known.code, '-')}",
        "title": _words(known.code, " ").capitalize(),
        "status": status,
        "detail": known.detail,
        "code": known.code,
        "request_id": request_id,
        **known.extra,
    }
    return Problem(status, _headers(status, known), msgspec.json.encode(document), known.code)


def as_recsys_error(error: Exception) -> RecsysError | None:
    """The error in the words of this service; None for what nobody foresaw."""
    if isinstance(error, RecsysError):
        return error
    if isinstance(error, ValidationException):
        return InvalidRequest(faults=_parameter_faults(error))
    if isinstance(error, HTTPException) and error.status_code == 405:
        return MethodNotAllowed(allow=_allowed(error))
    if isinstance(error, HTTPException) and error.status_code in _OTHER_STATUS:
        return _OTHER_STATUS[error.status_code]()
    if isinstance(error, HTTPException) and error.status_code < 500:
        return InvalidRequest(error.detail)
    return None


def _parameter_faults(error: ValidationException) -> list[Fault]:
    """Name the parameter at fault: it has no JSON pointer, so its name goes into the detail."""
    found = error.extra if isinstance(error.extra, list) else []
    return [
        Fault("", f"{getattr(each.get('source'), 'value', 'path')} parameter {each.get('key')}: {each.get('message')}.")
        for each in found
    ] or [Fault("", error.detail)]


def _allowed(error: HTTPException) -> list[str]:
    header = (error.headers or {}).get("allow", "")
    return sorted(method.strip() for method in header.split(",") if method.strip())


def _headers(status: int, error: RecsysError) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", MEDIA_TYPE.encode("ascii")), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="recsys"'))
    if status == 405:
        allow = error.extra.get("allow")
        headers.append((b"allow", ", ".join(allow).encode("ascii") if isinstance(allow, list) else b""))
    if status in (429, 503):
        headers.append((b"retry-after", b"1"))
    return headers


def _words(code: str, separator: str) -> str:
    return code.removeprefix("RECSYS_").lower().replace("_", separator)
