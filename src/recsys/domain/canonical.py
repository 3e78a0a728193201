"""Canonical JSON (RFC 8785) that is a fixed point: parsing a canonical text and writing it again changes nothing.

The strictness lives in the parser. RFC 8785 alone is not enough: a library may print the float 1e16 as
``10000000000000000`` and then refuse to read that integer back, keep the last of two equal keys, or fail with a bare
``RecursionError``. What :func:`parse` accepts, :func:`canonicalise` writes, and what it writes, :func:`parse` accepts.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NoReturn, TypeAlias, cast

import rfc8785

from recsys.domain.errors import Fault, InvalidRequest

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 64
EXACT_INTEGERS = 2**53
_SHOWN = 20
_MANY_DIGITS = re.compile(rb"[0-9]{16}")
_KEY = re.compile(rb'"([^"]*+)"\s*+:')  # where there are no escapes


class InvalidJson(InvalidRequest):
    """The body is not JSON as this service takes it."""


def parse(data: bytes) -> Json:
    """Read strict JSON.

    Raises:
        InvalidJson: for text that is not JSON in UTF-8, and for what has no canonical form: a key twice in an object,
            NaN and infinities, integral numbers beyond 2^53 - 1, NUL, lone surrogates, nesting deeper than 64.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_parse_int if _MANY_DIGITS.search(data) else None,  # a call for each takes longer than all else
            parse_float=_parse_float,
        )
    except UnicodeDecodeError as error:
        raise _refusal(f"Not UTF-8: byte {error.start} cannot be decoded.") from None
    except RecursionError:
        raise _refusal(f"Nested deeper than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        raise _refusal(f"Not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    check(value)
    return cast("Json", value)


def canonicalise(value: Json) -> str:
    """Write a value that :func:`parse` returned as canonical JSON text."""
    return rfc8785.dumps(cast("Any", value)).decode("utf-8")


def content_hash(text: str) -> str:
    """SHA-256 of a canonical text: 64 lower-case hex digits. This is what a version is called."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def has_plain_keys(data: bytes) -> bool:
    """Whether a quick look proves that no object has a key twice and no string has an escape.

    For hot paths: False only means that :func:`parse` must look.
    """
    if b"\\" in data:
        return False
    keys = _KEY.findall(data)
    return len(keys) == len(set(keys))


def escape(token: str | int) -> str:
    """One reference token of an RFC 6901 JSON pointer."""
    return str(token).replace("~", "~0").replace("/", "~1")


def _refusal(detail: str, pointer: str = "") -> InvalidJson:
    return InvalidJson(faults=[Fault(pointer, detail)])


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        _check_text(twice, "")  # where a key cannot be written, nor can a pointer to it
        raise _refusal(f"The key {twice!r} stands twice in one object.", f"/{escape(twice)}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _refusal(f"{name} is not JSON.")


class _TooLarge:
    """A number that is not taken, as it was spelt; :func:`check` refuses it where it stands."""

    def __init__(self, digits: str) -> None:
        self.shown = digits if len(digits) <= _SHOWN else f"{digits[:_SHOWN]}…"


def _parse_int(digits: str) -> int | _TooLarge:
    # A bound on the digits first: turning a million of them into an int is quadratic.
    return int(digits) if len(digits) <= len(str(EXACT_INTEGERS)) + 1 else _TooLarge(digits)


def _parse_float(digits: str) -> float | int | _TooLarge:
    number = float(digits)
    if abs(number) >= EXACT_INTEGERS:
        return _TooLarge(digits)
    # 20.0 and 20 have one canonical form, so they are one value.
    return int(number) if number.is_integer() else number


def _too_large(shown: object, pointer: str) -> InvalidJson:
    exact = f"JSON numbers are exact only up to 2^53 - 1 ({EXACT_INTEGERS - 1})"
    return _refusal(f"{shown} is too large: {exact}, and none beyond is taken.", pointer)


def check(value: object, pointer: str = "", depth: int = 0) -> None:
    """Refuse a parsed value that has no canonical form; see :func:`parse`."""
    if depth > MAX_DEPTH:
        raise _refusal(f"Nested deeper than {MAX_DEPTH} levels.", pointer)
    if isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, (int, float)):
        # Every float from 2^53 on is integral, infinities among them, so one comparison covers all spellings.
        if abs(value) >= EXACT_INTEGERS:
            raise _too_large(value, pointer)
    elif isinstance(value, _TooLarge):
        raise _too_large(value.shown, pointer)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            # Most of a long list needs no look of its own, nor a pointer: what is empty, small numbers.
            small = not item or (type(item) in (int, float) and -EXACT_INTEGERS < item < EXACT_INTEGERS)
            if not small or depth == MAX_DEPTH:
                check(item, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, pointer)
            check(item, f"{pointer}/{escape(key)}", depth + 1)


def _check_text(text: str, pointer: str) -> None:
    if "\0" in text:
        raise _refusal("NUL characters are not allowed.", pointer.replace("\0", "\\u0000"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _refusal(
            "A lone surrogate is not a character.",
            pointer.encode(errors="replace").decode(),
        ) from None
