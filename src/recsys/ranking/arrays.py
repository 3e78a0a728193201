"""The few array shapes that ranking is made of.

Item and tag indices are int32 everywhere: ``searchsorted`` over mixed types would copy the larger array on every call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.ranking.compiler import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Iterable

Indices: TypeAlias = npt.NDArray[np.int32]
Positions: TypeAlias = npt.NDArray[np.intp]
Values: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

NO_INDICES: Indices = np.empty(0, np.int32)


def as_indices(values: Iterable[int]) -> Indices:
    """Item or tag indices as an array, in the order given."""
    return np.fromiter(values, np.int32)


def contains(haystack: Indices, needles: Indices) -> Mask:
    """Which of ``needles`` (any order) stand in ``haystack`` (ascending). Costs needles · log(haystack)."""
    if haystack.size == 0:
        return np.zeros(needles.size, np.bool_)
    at = haystack.searchsorted(needles)
    np.minimum(at, haystack.size - 1, out=at)
    found: Mask = haystack[at] == needles
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Csr:
    """Rows of ascending column indices: row r is ``columns[starts[r]:starts[r + 1]]``.

    ``starts`` has one entry more than there are rows (int64); ``columns`` is int32.
    """

    starts: npt.NDArray[np.int64]
    columns: Indices

    def row(self, index: int) -> Indices:
        """One row, as a view."""
        return self.columns[self.starts[index] : self.starts[index + 1]]

    def length(self, index: int) -> int:
        """How many entries a row has."""
        return int(self.starts[index + 1] - self.starts[index])

    def gather(self, rows: Indices) -> tuple[Positions, Indices]:
        """Several rows one after the other: for each entry its position in ``rows``, and its column."""
        begins = self.starts[rows]
        lengths = self.starts[rows + 1] - begins
        owners = np.repeat(np.arange(rows.size), lengths)
        shifts = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
        return owners, self.columns[shifts + np.arange(owners.size)]


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourLists:
    """Rows of scored items: row r is ``items[starts[r]:starts[r + 1]]`` (int32, ascending), ``values`` alike (float64).

    What a row belongs to (an item, a user, a session) is up to whoever holds the lists.
    """

    starts: npt.NDArray[np.int64]
    items: Indices
    values: Values
    packed: Packed = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "packed", pack((self.starts, self.items, self.values), "lid"))

    def row(self, index: int) -> tuple[Indices, Values]:
        """One row, as views."""
        begin, end = self.starts[index], self.starts[index + 1]
        return self.items[begin:end], self.values[begin:end]


@dataclass(frozen=True, slots=True, eq=False)
class SparseScores:
    """Scores of a few items: ``indices`` ascending and unique (int32), ``values`` alike in length (float64)."""

    indices: Indices
    values: Values

    def at(self, items: Indices) -> Values:
        """The scores of ``items``; 0 for those that have none."""
        if self.indices.size == 0:
            return np.zeros(items.size)
        at = self.indices.searchsorted(items)
        np.minimum(at, self.indices.size - 1, out=at)
        return np.where(self.indices[at] == items, self.values[at], 0.0)


def decay(ages: Values, half_life: float) -> Values:
    """2^(−age/half_life), float64 like the ages, which are not negative."""
    with np.errstate(over="ignore"):  # an age of more half-lives than a float holds is infinitely many, and counts 0
        weights: Values = np.exp2(-(ages / half_life))
    return weights


def add_up(groups: npt.NDArray[np.integer[Any]], values: Values, size: int) -> Values:
    """The sum of the values of each group 0 … size−1, added one by one in the order given."""
    sums: Values = np.bincount(groups, values, minlength=size).astype(np.float64, copy=False)
    return sums


def make_csr(rows: Indices, columns: Indices, row_count: int) -> Csr:
    """A CSR from entries that are already sorted by row, then column."""
    starts = np.zeros(row_count + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=row_count), out=starts[1:])
    return Csr(starts, columns)
