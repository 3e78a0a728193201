"""Columns of the packed form, written from arrays and read as views of the file's pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.artifacts.texts import Offsets, Texts, check_ids, read_texts
from recsys.domain.errors import ArtifactIncompatible

Entries: TypeAlias = npt.NDArray[np.int32]
Doubles: TypeAlias = npt.NDArray[np.float64]

INDEX: Final = pa.int32()
UTC_TIME: Final = pa.timestamp("us", "UTC")


def column(name: str, type_: Any) -> Any:
    """A field that is never null."""
    return pa.field(name, type_, nullable=False)


def lists(name: str, type_: Any) -> Any:
    """A field of lists, neither of which is null, nor anything in them."""
    return column(name, pa.list_(column("item", type_)))


def choices(index: Any = INDEX) -> Any:
    """The type of texts of which each is kept once, in the file's dictionary, in code point order."""
    return pa.dictionary(index, pa.string())


def make_lists(starts: Offsets, values: Any, field: Any) -> Any:
    """A column of lists: row r holds ``values[starts[r]:starts[r + 1]]``."""
    values = values if isinstance(values, pa.Array) else pa.array(values, field.type.value_type)
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), values, type=field.type)


def make_choices(codes: npt.NDArray[Any], texts: Any) -> Any:
    """Texts by their place in ``texts``."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), texts)


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of a column: ``starts`` int32[R + 1], and the Arrow array of all entries."""

    starts: Offsets
    values: Any


def read_lists(array: Any, like: Offsets | None = None) -> Lists:
    """The lists of a column. ``like``: where they must begin, so that they go with those of another column.

    Raises:
        ArtifactIncompatible: they do not, or the entries begin before the first list or end after the last.
    """
    starts: Offsets = array.offsets.to_numpy()
    values = array.values
    if starts[0] != 0 or starts[-1] != len(values):
        raise ArtifactIncompatible("Its lists do not hold all of their entries.")
    if like is not None and not np.array_equal(starts, like):
        raise ArtifactIncompatible("Its columns of lists differ in the lengths of their lists.")
    return Lists(starts, values)


def read_choices(array: Any, what: str) -> tuple[npt.NDArray[Any], Texts]:
    """The codes of texts that are kept once, and these texts.

    Raises:
        ArtifactIncompatible: they are not ids in code point order.
    """
    check_ids(array.dictionary, what)
    return array.indices.to_numpy(), read_texts(array.dictionary)


def read_doubles(array: Any, what: str, *, positive: bool) -> Doubles:
    """Numbers that may be served.

    Raises:
        ArtifactIncompatible: one is not finite, is below 0, or is 0 and has to be ``positive``.
    """
    found: Doubles = array.to_numpy()
    # Any comparison with NaN is false, so this finds it too; no array of the size of the column is negated for it.
    if not (np.isfinite(found) & ((found > 0) if positive else (found >= 0))).all():
        wish = "above 0" if positive else "of 0 or more"
        raise ArtifactIncompatible(f"{what} holds a value that is not a finite number {wish}.")
    return found


def check_ascending(starts: Offsets, entries: npt.NDArray[np.integer[Any]], what: str, *, strictly: bool) -> None:
    """Insist that each list ascends.

    Raises:
        ArtifactIncompatible: one does not.
    """
    wrong = entries[1:] <= entries[:-1] if strictly else entries[1:] < entries[:-1]
    wrong[inner_bounds(starts, entries.size)] = False
    if wrong.any():
        raise ArtifactIncompatible(f"{what} are not in order within a list, or stand there twice.")


def inner_bounds(starts: Offsets, count: int) -> npt.NDArray[Any]:
    """Between which of ``count`` entries and the next one list ends and another begins."""
    inner = starts[(starts > 0) & (starts < count)]
    return inner - 1
