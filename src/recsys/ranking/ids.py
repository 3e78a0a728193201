"""The ids of a surface as three arrays: found in a microsecond, kept in mapped pages, no Python object per item."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import NO_INDICES, Indices
from recsys.ranking.compiler import (
    Addresses,
    Packed,
    compiled_for_threads,
    compiled_raw,
    inlined_raw,
    int32s,
    int64s,
    pointer,
    uint8s,
)
from recsys.ranking.compiler import pack as pack_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Bytes: TypeAlias = npt.NDArray[np.uint8]
Starts: TypeAlias = npt.NDArray[np.int64]

UNKNOWN: Final = -1
_SEPARATOR: Final = b"\xff"  # never part of UTF-8
_TEXTS_REMEMBERED: Final = 65_536
_LONGEST_PROBE: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """A bijection between N different texts and 0 … N−1, in code point order.

    ``utf8`` uint8: the texts in UTF-8, one after the other; ``starts`` int64[N+1]: where each begins; ``slots``
    int32[2^m], 2^m ≥ 2N: an open-addressing hash table of indices, −1 where empty. The arrays are made read-only.

    Any text may be asked for. Ids chosen to collide make looking up slower, not unbounded: what found no slot within
    64 of its own is found by halving.
    """

    utf8: Bytes
    starts: Starts
    slots: Indices
    _texts: dict[int, str] = field(default_factory=dict, init=False, repr=False)
    _packed: Packed = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for array in (self.utf8, self.starts, self.slots):
            array.setflags(write=False)
        object.__setattr__(self, "_packed", pack_arrays((self.utf8, self.starts, self.slots), "Bli"))

    def __len__(self) -> int:
        return self.starts.size - 1

    def find(self, texts: Sequence[str]) -> Indices:
        """The indices of those texts that are known, in the order given (int32)."""
        return self._look_up(texts, keep_unknown=False)

    def look_up(self, texts: Sequence[str]) -> Indices:
        """The index of every text, −1 for one that is unknown (int32, as many as texts)."""
        return self._look_up(texts, keep_unknown=True)

    def index(self, text: str) -> int:
        """The index of a text; −1 when it is unknown."""
        return int(self._look_up((text,), keep_unknown=True)[0])

    def texts(self, indices: Sequence[int]) -> list[str]:
        """The texts of some indices, in the order given. Those asked for lately are remembered."""
        known = self._texts
        try:
            return [known[index] for index in indices]
        except KeyError:
            return [self.text(index) for index in indices]

    def text(self, index: int) -> str:
        """The text of an index, 0 ≤ index < N."""
        known = self._texts.get(index)
        if known is None:
            known = _decode(self.utf8[self.starts[index] : self.starts[index + 1]].tobytes())
            if len(self._texts) >= _TEXTS_REMEMBERED:
                self._texts.clear()
            self._texts[index] = known
        return known

    def __iter__(self) -> Iterator[str]:
        """All texts in order, remembering none."""
        return iter(unpack(self.utf8, self.starts))

    def _look_up(self, texts: Sequence[str], *, keep_unknown: bool) -> Indices:
        if not texts:
            return NO_INDICES
        found = np.empty(len(texts), np.int32)
        kept = _find(self._packed.addresses, _separated(texts), found, keep_unknown)
        return found if kept == len(texts) else found[:kept]


def make_ids(sorted_texts: Sequence[str]) -> Ids:
    """Ids of texts in code point order, which for UTF-8 is byte order too; a lone surrogate counts as a character.

    Raises:
        ValueError: the texts are not in order, or one stands there twice.
    """
    return index_ids(*pack(sorted_texts))


def index_ids(utf8: Bytes, starts: Starts) -> Ids:
    """Ids of texts that are packed already, in code point order.

    Raises:
        ValueError: the texts are not in order, or one stands there twice.
    """
    slots = np.full(_slot_count(starts.size - 1), UNKNOWN, np.int32)
    if not _fill(utf8, starts, slots):
        raise ValueError("Ids are made of different texts in code point order.")
    return Ids(utf8, starts, slots)


def pack(texts: Sequence[str]) -> tuple[Bytes, Starts]:
    """N texts in UTF-8, one after the other (uint8), and where each begins (int64[N+1])."""
    encoded = _encode(texts)
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=starts[1:])
    return np.frombuffer(bytearray().join(encoded), np.uint8), starts


def unpack(utf8: Bytes, starts: Starts) -> list[str]:
    """The texts that :func:`pack` was given."""
    whole = utf8.tobytes()
    return [_decode(whole[begin:end]) for begin, end in pairwise(starts.tolist())]


def _slot_count(count: int) -> int:
    """A power of two, at least double what it is for: at most every other slot is taken."""
    return 1 << max(2 * count - 1, 1).bit_length()


def _encode(texts: Sequence[str]) -> list[bytes]:
    try:
        return [text.encode() for text in texts]
    except UnicodeEncodeError:  # JSON can spell half a character; no item has such an id, but asking is not a fault
        return [text.encode("utf-8", "surrogatepass") for text in texts]


def _decode(utf8: bytes) -> str:
    return utf8.decode("utf-8", "surrogatepass")


def _separated(texts: Sequence[str]) -> Bytes:
    """The texts in UTF-8, each followed by a separator."""
    return np.frombuffer(_SEPARATOR.join([*_encode(texts), b""]), np.uint8)


@compiled_for_threads
def _fill(utf8: Bytes, starts: Starts, slots: Indices) -> bool:
    """Give every text a slot, if one is free near its own; False when the texts are not in order."""
    mask = slots.size - 1
    for index in range(starts.size - 1):
        begin, end = starts[index], starts[index + 1]
        if index > 0 and _compare(utf8, starts[index - 1], begin, utf8, begin, end) >= 0:
            return False
        home = _hash(utf8, begin, end)
        for step in range(_LONGEST_PROBE):
            if slots[(home + step) & mask] < 0:
                slots[(home + step) & mask] = index
                break
    return True


@compiled_raw
def _find(at: Addresses, asked: Bytes, found: Indices, keep_unknown: bool) -> int:  # noqa: FBT001
    """Put the indices of texts, each followed by a separator in ``asked``, into ``found``; how many there are.

    −1 for one that is unknown, if these are kept.
    """
    utf8 = uint8s(pointer(at[0]), at[1])
    starts = int64s(pointer(at[2]), at[3])
    slots = int32s(pointer(at[4]), at[5])
    _fetch(utf8, starts, slots, asked, found)
    kept, begin = 0, 0
    for _ in range(found.size):
        end = _end(asked, begin)
        index = _find_one(asked, begin, end, utf8, starts, slots)
        if index >= 0 or keep_unknown:
            found[kept] = index
            kept += 1
        begin = end + 1
    return kept


@inlined_raw
def _fetch(utf8: Bytes, starts: Starts, slots: Indices, asked: Bytes, found: Indices) -> None:
    """Read what will be compared with the texts that are asked for, step by step for all of them.

    Each step waits for memory once, where finding one text after the other would wait at every step of every text:
    looking up ten ids among 100,000 took 1.8 times as long. ``found`` serves for notes.
    """
    begin = 0
    for number in range(found.size):
        end = _end(asked, begin)
        found[number] = max(slots[_hash(asked, begin, end) & (slots.size - 1)], 0)
        begin = end + 1
    seen = 0
    for number in range(found.size):
        seen += starts[found[number]]
    for number in range(found.size):
        if starts[found[number]] < utf8.size:
            seen += utf8[starts[found[number]]]
    if found.size:
        found[0] = seen  # written somewhere, or the compiler would leave the reads out


@inlined_raw
def _end(asked: Bytes, begin: int) -> int:
    """Where the text ends that begins there."""
    end = begin
    while asked[end] != 0xFF:
        end += 1
    return end


@inlined_raw
def _find_one(asked: Bytes, begin: int, end: int, utf8: Bytes, starts: Starts, slots: Indices) -> int:
    mask = slots.size - 1
    home = _hash(asked, begin, end)
    for step in range(_LONGEST_PROBE):
        index = int(slots[(home + step) & mask])
        if index < 0:
            return -1
        same_length = starts[index + 1] - starts[index] == end - begin
        if same_length and _compare(utf8, starts[index], starts[index + 1], asked, begin, end) == 0:
            return index
    return _halve(asked, begin, end, utf8, starts)


@inlined_raw
def _halve(asked: Bytes, begin: int, end: int, utf8: Bytes, starts: Starts) -> int:
    """Binary search, for texts that crowd in one place of the hash table."""
    low, high = 0, starts.size - 1
    while low < high:
        middle = (low + high) // 2
        order = _compare(utf8, starts[middle], starts[middle + 1], asked, begin, end)
        if order == 0:
            return middle
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return -1


@inlined_raw
def _hash(utf8: Bytes, begin: int, end: int) -> np.int64:
    """FNV-1a, 64 bits, folded to 32 (http://www.isthe.com/chongo/tech/comp/fnv/)."""
    state = np.uint64(14695981039346656037)
    for at in range(begin, end):
        state = (state ^ np.uint64(utf8[at])) * np.uint64(1099511628211)
    return np.int64((state ^ (state >> np.uint64(32))) & np.uint64(0xFFFFFFFF))


@inlined_raw
def _compare(left: Bytes, begin: int, end: int, right: Bytes, start: int, stop: int) -> int:
    """Below 0, 0 or above 0, as ``left[begin:end]`` comes before, is or comes after ``right[start:stop]``."""
    for at in range(min(end - begin, stop - start)):
        if left[begin + at] != right[start + at]:
            return -1 if left[begin + at] < right[start + at] else 1
    return (end - begin) - (stop - start)
