"""The long form: a table as a pipeline computes it, one row per fact, in any order. Its columns, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.artifacts.texts import shown
from recsys.domain.errors import ArtifactIncompatible
from recsys.domain.validation import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

Codes: TypeAlias = npt.NDArray[np.int32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

LONGEST_ID: Final = 512
_MOST: Final = np.iinfo(np.int32).max
_MOST_MERGED: Final = 2**62


class LongForm:
    """The columns of a table, each read and checked when it is asked for. Rows are counted from 0 in messages.

    Raises:
        ArtifactIncompatible: from here and from every method, naming the column, the row and what is wrong with it.
    """

    def __init__(self, table: Any, schema: Any) -> None:
        missing = [name for name in schema.names if name not in table.column_names]
        unknown = [name for name in table.column_names if name not in schema.names]
        if missing or unknown or len(table.column_names) != len(schema.names):
            near = {name: did_you_mean(name, missing) for name in unknown}
            hint = "".join(f" Is {name!r} meant to be {meant!r}?" for name, meant in near.items() if meant)
            said = f"The columns are {', '.join(schema.names)}; got {', '.join(table.column_names) or 'none'}.{hint}"
            raise ArtifactIncompatible(said)
        self._table = table
        self._schema = schema
        self.rows: int = table.num_rows

    def ids(self, *names: str) -> tuple[Any, list[Codes]]:
        """All different ids of some columns, in code point order, and for each column the place of every row's id."""
        coded = [self._coded(name) for name in names]
        known = pc.unique(pa.concat_arrays([dictionary for dictionary, _ in coded]))
        order = pc.sort_indices(known)  # strings are compared byte by byte, which for UTF-8 is code point order
        ranks = np.empty(len(known), np.int32)
        ranks[order.to_numpy()] = np.arange(len(known), dtype=np.int32)
        columns = [
            ranks[pc.index_in(dictionary, value_set=known).to_numpy(zero_copy_only=False)][codes]
            if len(dictionary)
            else np.empty(0, np.int32)
            for dictionary, codes in coded
        ]
        ordered = known.take(order)
        return ordered, columns

    def doubles(self, name: str, *, positive: bool = False) -> Doubles:
        """Finite numbers, all of them above 0 if ``positive`` is asked for, else none below."""
        found: Doubles = self._numbers(name, pa.float64())
        refused = ~np.isfinite(found) | ((found <= 0) if positive else (found < 0))
        wish = "a finite number above 0" if positive else "a finite number of 0 or more"
        self.refuse_where(name, refused, f"is not {wish}")
        return found + 0.0  # −0.0 becomes 0.0: they are equal, and their bytes have to be, too

    def prices(self, name: str) -> Doubles:
        """Numbers of 0 or more; NaN, always the same one, where there is none."""
        found: Doubles = self._numbers(name, pa.float64())
        self.refuse_where(name, (found < 0) | np.isinf(found), "is neither NaN nor a finite number of 0 or more")
        return np.where(np.isnan(found), np.nan, found + 0.0)

    def integers(self, name: str) -> Integers:
        """Whole numbers of 64 bits."""
        found: Integers = self._numbers(name, pa.int64())
        return found

    def times(self, name: str) -> Integers:
        """Microseconds since 1970 in UTC. A timestamp without a zone is one in UTC."""
        column = self._column(name)
        if not pa.types.is_timestamp(column.type) or column.type.tz not in (None, "UTC", "Etc/UTC", "+00:00"):
            raise ArtifactIncompatible(f"{name} must be a timestamp in UTC, not {column.type}.")
        whole = self._cast(name, column, pa.timestamp("us", column.type.tz))
        found: Integers = whole.cast(pa.int64()).to_numpy()
        return found

    def texts(self, name: str) -> Any:
        """Texts of any length, as one string array."""
        return _whole(self._cast(name, self._column(name), pa.string()))

    def text_lists(self, name: str) -> tuple[Any, Codes, Codes]:
        """All different texts of the lists in code point order; for each entry its row, and the place of its text."""
        lists = _whole(self._cast(name, self._column(name), pa.list_(pa.string())))
        entries = lists.flatten()
        if entries.null_count:
            raise ArtifactIncompatible(f"{name} has a null in a list.")
        rows = pc.list_parent_indices(lists).to_numpy().astype(np.int32)
        inner = LongForm(pa.table({name: entries}), pa.schema([(name, pa.string())]))
        vocabulary, (codes,) = inner.ids(name)
        return vocabulary, rows, codes

    def refuse_where(self, name: str, refused: npt.NDArray[np.bool_], what: str) -> None:
        """Refuse the first row that is marked, telling its value.

        Raises:
            ArtifactIncompatible: when there is one.
        """
        if refused.any():
            row = int(refused.argmax())
            value = self._table.column(name)[row].as_py()
            value = shown(value) if isinstance(value, str) else value
            more = int(refused.sum()) - 1
            others = f" ({more} more rows alike)" if more else ""
            raise ArtifactIncompatible(f"{name}: {value} in row {row} {what}{others}.")

    def _coded(self, name: str) -> tuple[Any, Codes]:
        """The different ids of a column in no particular order, and for each row the place of its own."""
        column = self._column(name)
        if pa.types.is_dictionary(column.type):
            if (coded := _used(column)) is not None:
                return self._checked(name, *coded)
            column = column.cast(column.type.value_type)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            column = self._cast(name, column, pa.string())
        encoded = column.dictionary_encode().unify_dictionaries()
        if not encoded.num_chunks:
            return pa.array([], pa.string()), np.empty(0, np.int32)
        dictionary = self._cast(name, encoded.chunk(0).dictionary, pa.string())
        return self._checked(name, dictionary, np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks]))

    def _checked(self, name: str, dictionary: Any, codes: Codes) -> tuple[Any, Codes]:
        """Coded ids as they are, unless one of them is none."""
        lengths = pc.utf8_length(dictionary).to_numpy()
        wrong = (lengths < 1) | (lengths > LONGEST_ID)
        if wrong.any():
            self.refuse_where(name, wrong[codes], f"is not an id: it has 1 to {LONGEST_ID} characters")
        return dictionary, codes

    def _numbers(self, name: str, type_: Any) -> Any:
        return self._cast(name, self._column(name), type_).to_numpy()

    def _column(self, name: str) -> Any:
        column = self._table.column(name)
        if column.null_count:
            row = int(column.is_null().to_numpy().argmax())
            raise ArtifactIncompatible(f"{name} is null in row {row}, and in {column.null_count - 1} more.")
        return column

    def _cast(self, name: str, column: Any, type_: Any) -> Any:
        if column.type == type_:
            return column
        try:
            return column.cast(type_)
        except pa.ArrowException as error:
            raise ArtifactIncompatible(f"{name} must be {type_}, not {column.type}: {error}.") from None


def in_order(names: Sequence[str], *keys: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.intp] | None:
    """The order that sorts rows by some columns; None when they are sorted already.

    Raises:
        ArtifactIncompatible: two rows are alike in all of them.
    """
    distinct, order = sort(*keys)
    if not distinct:
        sorted_ = [key if order is None else key[order] for key in keys]
        twice = np.logical_and.reduce([key[1:] == key[:-1] for key in sorted_])
        at = int(twice.argmax())
        first, second = (at, at + 1) if order is None else (int(order[at]), int(order[at + 1]))
        raise ArtifactIncompatible(f"Rows {first} and {second} have the same {', '.join(names)}.")
    return order


def sort(*keys: npt.NDArray[np.integer[Any]]) -> tuple[bool, npt.NDArray[np.intp] | None]:
    """Whether rows differ in their keys, and the order that sorts them by these; None when they are sorted already.

    Rows that are alike in all keys stand in any order.
    """
    if keys[0].size < 2:
        return True, None
    merged = _merged(keys)
    above, equal = _compare(merged, None)
    if not above.any():
        return not equal.any(), None
    order = np.argsort(merged[0]) if len(merged) == 1 else np.lexsort(merged[::-1])
    _, equal = _compare(merged, order)
    return not equal.any(), order


def _merged(keys: Sequence[npt.NDArray[np.integer[Any]]]) -> list[npt.NDArray[np.integer[Any]]]:
    """Keys that give the same order, fewer where two fit into 64 bits together: one is sorted much faster than two."""
    merged = [keys[0]]
    for key in keys[1:]:
        left, low, span = merged[-1], int(key.min()), int(key.max()) - int(key.min()) + 1
        if int(left.min()) >= 0 and (int(left.max()) + 1) * span < _MOST_MERGED:
            merged[-1] = left.astype(np.int64) * span + (key.astype(np.int64) - low)
        else:
            merged.append(key)
    return merged


def _compare(
    keys: Sequence[npt.NDArray[np.integer[Any]]], order: npt.NDArray[np.intp] | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Of each row and the next: whether it is above it, and whether they are equal."""
    above = np.zeros(keys[0].size - 1, np.bool_)
    equal = np.ones(keys[0].size - 1, np.bool_)
    for key in keys:
        ordered = key if order is None else key[order]
        above |= equal & (ordered[:-1] > ordered[1:])
        equal &= ordered[:-1] == ordered[1:]
    return above, equal


def starts_of(rows: npt.NDArray[np.integer[Any]], count: int) -> Codes:
    """Where each of ``count`` lists begins, and the last one ends, when entries stand in the order of their rows.

    Raises:
        ArtifactIncompatible: more entries than 32 bits count.
    """
    if rows.size > _MOST:
        raise ArtifactIncompatible(f"It has {rows.size} rows; an artifact holds at most {_MOST}.")
    starts = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=count), out=starts[1:])
    return starts


def _used(column: Any) -> tuple[Any, Codes] | None:
    """The texts of a dictionary that stand in a column, and for each row the place of its own; None for other types.

    Texts need not be looked at for that, which for millions of rows is most of the work.
    """
    if column.type.value_type != pa.string() or not len(column):
        return None
    unified = pa.chunked_array(column.chunks, column.type).unify_dictionaries()
    dictionary = unified.chunk(0).dictionary
    if dictionary.null_count:
        return None
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in unified.chunks]).astype(np.int32, copy=False)
    standing = np.bincount(codes, minlength=len(dictionary)) > 0
    if standing.all():
        return dictionary, codes
    return dictionary.filter(pa.array(standing)), (np.cumsum(standing, dtype=np.int32) - 1)[codes]


def _whole(column: Any) -> Any:
    """A column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.nbytes > _MOST:
        raise ArtifactIncompatible(f"A column of texts holds at most {_MOST} bytes, not {column.nbytes}.")
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
