"""What differs between two JSON documents, as pointers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from recsys.domain.canonical import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.domain.canonical import Json


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One difference. ``pointer`` is into the document that has the value: the old one for ``removed``."""

    op: Literal["added", "removed", "changed"]
    pointer: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


def differences(before: Json, after: Json, pointer: str = "") -> Iterator[Difference]:
    """Yield the differences in document order.

    Arrays are compared after setting aside what they begin and end with in common, so that one rule put in at the top
    is one difference and not a change of every rule below it.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, pointer)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _arrays(before, after, pointer)
    elif not _same(before, after):
        yield Difference(op="changed", pointer=pointer, before=before, after=after)


def _objects(before: dict[str, Json], after: dict[str, Json], pointer: str) -> Iterator[Difference]:
    for key in sorted({*before, *after}):
        inner = f"{pointer}/{escape(key)}"
        if key not in after:
            yield Difference(op="removed", pointer=inner, before=before[key])
        elif key not in before:
            yield Difference(op="added", pointer=inner, after=after[key])
        else:
            yield from differences(before[key], after[key], inner)


def _arrays(before: list[Json], after: list[Json], pointer: str) -> Iterator[Difference]:
    shorter = min(len(before), len(after))
    head = next((at for at in range(shorter) if not _same(before[at], after[at])), shorter)
    rest = shorter - head
    tail = next((at for at in range(rest) if not _same(before[-1 - at], after[-1 - at])), rest)
    olds, news = before[head : len(before) - tail], after[head : len(after) - tail]
    for index, (old, new) in enumerate(zip(olds, news, strict=False), head):
        yield from differences(old, new, f"{pointer}/{index}")
    for index, old in enumerate(olds[len(news) :], head + len(news)):
        yield Difference(op="removed", pointer=f"{pointer}/{index}", before=old)
    for index, new in enumerate(news[len(olds) :], head + len(olds)):
        yield Difference(op="added", pointer=f"{pointer}/{index}", after=new)


def _same(before: Json, after: Json) -> bool:
    """Whether there is no difference."""
    return before == after and _alike(before, after)


def _alike(before: Json, after: Json) -> bool:
    """Whether what Python takes for equal is the same JSON: it takes True for 1."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(_alike(value, after[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return all(map(_alike, before, after))
    return isinstance(before, bool) == isinstance(after, bool)
