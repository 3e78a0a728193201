"""Every fault of a JSON value against a Struct type, each with its JSON pointer.

msgspec decodes fast but stops at the first fault, without a pointer in RFC 6901 form. This walks the same type (one
source of truth) and collects them all; it runs when something is wrong or a person is waiting, never on a hot path.
"""

from __future__ import annotations

import difflib
import operator
import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import inspect

from recsys.domain.canonical import Json, escape, parse
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.names import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

ZonedTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""The one kind of time that is taken: without a zone nobody knows when it is."""

MOST_FAULTS = 100
"""As many as anybody reads; a hostile body with a hundred thousand faults must not cost seconds and megabytes."""

MOST_LETTERS = 100
"""Of a word that may be a misspelt one: comparing takes time with its length, and nothing that is known is longer."""


def decode(data: bytes, type_: type[T]) -> T:
    """Read strict JSON into a Struct type.

    Raises:
        InvalidRequest: naming every fault with its pointer and, for a near miss, what was probably meant.
    """
    return convert(parse(data), type_)


def convert(value: Json, type_: type[T], most_faults: int = MOST_FAULTS) -> T:
    """Turn a parsed JSON value into a Struct type; see :func:`decode`."""
    if found := list(islice(faults(value, type_), most_faults)):
        raise InvalidRequest(faults=found)
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        # A kind of fault the walk below does not know (a type that no document has yet): msgspec's own words.
        detail, _, where = str(error).partition(" - at `$")
        raise InvalidRequest(faults=[Fault(_pointer(where.rstrip("`")), f"{detail}.")]) from None


def faults(value: Json, type_: Any) -> Iterator[Fault]:
    """Yield what is wrong with ``value`` as ``type_``, in document order."""
    yield from _walk(value, _type_info(type_), "")


def check_time(moment: datetime, pointer: str) -> None:
    """Refuse a time that does not exist in UTC: the last hours of the year 9999 somewhere west, say.

    Raises:
        InvalidRequest: naming ``pointer``.
    """
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(faults=[Fault(pointer, "This time is out of range in UTC.")]) from None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be, if one is near."""
    if len(word) > MOST_LETTERS:
        return None
    near = difflib.get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.7)
    return next((name for name in known if near and name.lower() == near[0]), None)


@lru_cache
def _type_info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _pointer(path: str) -> str:
    return re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", path.replace(".", "/"))


def _walk(value: Json, info: inspect.Type, pointer: str) -> Iterator[Fault]:
    match info:
        case inspect.StructType():
            yield from _walk_struct(value, info, pointer)
        case inspect.UnionType():
            yield from _walk_union(value, info, pointer)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            yield from _walk_list(value, info, pointer)
        case inspect.DictType():
            yield from _walk_dict(value, info, pointer)
        case inspect.LiteralType():
            yield from _check_literal(value, info, pointer)
        case inspect.StrType():
            yield from _check_text(value, info, pointer)
        case inspect.IntType() | inspect.FloatType():
            yield from _check_number(value, info, pointer)
        case inspect.DateTimeType():
            yield from _check_time(value, pointer)
        case inspect.BoolType() if not isinstance(value, bool):
            yield Fault(pointer, f"Expected true or false, got {_named(value)}.")
        case _:
            return


def _walk_struct(value: Json, info: inspect.StructType, pointer: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(pointer, f"Expected an object, got {_named(value)}.")
        return
    fields = {field.encode_name: field for field in info.fields}
    for key, item in value.items():
        if key in fields:
            yield from _walk(item, fields[key].type, f"{pointer}/{escape(key)}")
        elif info.forbid_unknown_fields:
            known = ", ".join(fields)
            yield Fault(
                f"{pointer}/{escape(key)}",
                f"Unknown field. Known: {known}.",
                did_you_mean(key, fields),
            )
    for name, field in fields.items():
        if field.required and name not in value:
            yield Fault(f"{pointer}/{escape(name)}", "Required, but missing.")


def _walk_union(value: Json, info: inspect.UnionType, pointer: str) -> Iterator[Fault]:
    if value is None and any(isinstance(member, inspect.NoneType) for member in info.types):
        return
    found: list[list[Fault]] = []
    for member in info.types:
        if isinstance(member, inspect.NoneType):
            continue
        found.append(list(_walk(value, member, pointer)))
        if not found[-1]:
            return
    # The member that understood most of the value (its faults lie deepest) explains best.
    yield from max(found, key=lambda each: max(len(fault.pointer) for fault in each))


def _walk_list(
    value: Json,
    info: inspect.ListType | inspect.VarTupleType | inspect.SetType,
    pointer: str,
) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(pointer, f"Expected an array, got {_named(value)}.")
        return
    if info.max_length is not None and len(value) > info.max_length:
        yield Fault(pointer, f"At most {info.max_length} entries, got {len(value)}.")
        return
    if info.min_length is not None and len(value) < info.min_length:
        yield Fault(pointer, f"At least {info.min_length} entries, got {len(value)}.")
    for index, item in enumerate(value):
        yield from _walk(item, info.item_type, f"{pointer}/{index}")


def _walk_dict(value: Json, info: inspect.DictType, pointer: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(pointer, f"Expected an object, got {_named(value)}.")
        return
    for key, item in value.items():
        inner = f"{pointer}/{escape(key)}"
        yield from _walk(key, info.key_type, inner)
        yield from _walk(item, info.value_type, inner)


def _check_literal(value: Json, info: inspect.LiteralType, pointer: str) -> Iterator[Fault]:
    if value in info.values and not isinstance(value, bool):
        return
    choices = [str(choice) for choice in info.values]
    near = did_you_mean(value, choices) if isinstance(value, str) else None
    wanted = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    yield Fault(pointer, f"Expected {wanted}, got {_shown(value)}.", near)


def _check_text(value: Json, info: inspect.StrType, pointer: str) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(pointer, f"Expected a string, got {_named(value)}.")
    elif info.max_length is not None and len(value) > info.max_length:
        yield Fault(pointer, f"At most {info.max_length} characters, got {len(value)}.")
    elif info.min_length is not None and len(value) < info.min_length:
        yield Fault(
            pointer,
            "Must not be empty." if not value else f"At least {info.min_length} characters.",
        )
    elif info.pattern is not None and not re.search(info.pattern, value):
        wanted = FORMS.get(info.pattern, f"text that matches {info.pattern}")
        yield Fault(pointer, f"Expected {wanted}, got {_shown(value)}.")


def _check_time(value: Json, pointer: str) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(pointer, f"Expected a time as a string, got {_named(value)}.")
        return
    try:
        msgspec.convert(value, ZonedTime)
    except msgspec.ValidationError:
        wanted = "an RFC 3339 time with a zone, 2026-11-23T10:00:00Z for example"
        yield Fault(pointer, f"Expected {wanted}, got {_shown(value)}.")


def _check_number(value: Json, info: inspect.IntType | inspect.FloatType, pointer: str) -> Iterator[Fault]:
    wanted = "a whole number" if isinstance(info, inspect.IntType) else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield Fault(pointer, f"Expected {wanted}, got {_named(value)}.")
        return
    if isinstance(info, inspect.IntType) and isinstance(value, float) and not value.is_integer():
        yield Fault(pointer, f"Expected a whole number, got {value}.")
        return
    limits = (
        (info.ge, "at least", operator.ge),
        (info.le, "at most", operator.le),
        (info.gt, "more than", operator.gt),
        (info.lt, "less than", operator.lt),
    )
    for limit, words, holds in limits:
        if limit is not None and not holds(value, limit):
            yield Fault(pointer, f"Must be {words} {limit}, got {value}.")


def _named(value: Json) -> str:
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def _shown(value: Json) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = repr(value) if isinstance(value, str) or is_number else _named(value)
    return text if len(text) <= 60 else f"{text[:57]}…'"
