"""Texts as two arrays, so that a mapped file needs no Python object for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.domain.errors import ArtifactIncompatible

Bytes: TypeAlias = npt.NDArray[np.uint8]
Offsets: TypeAlias = npt.NDArray[np.int32]

_SHOWN = 60


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """N texts: the UTF-8 of text n is ``utf8[starts[n]:starts[n + 1]]`` (uint8; int32[N + 1]); both are read-only."""

    utf8: Bytes
    starts: Offsets

    def __len__(self) -> int:
        return self.starts.size - 1

    def text(self, index: int) -> str:
        """One of them, 0 ≤ index < N."""
        return self.utf8[self.starts[index] : self.starts[index + 1]].tobytes().decode()

    def to_list(self) -> list[str]:
        """All of them."""
        found: list[str] = self.to_arrow().to_pylist()
        return found

    def to_arrow(self) -> Any:
        """The same pages as an Arrow string array."""
        return pa.StringArray.from_buffers(len(self), pa.py_buffer(self.starts), pa.py_buffer(self.utf8))


def read_texts(array: Any) -> Texts:
    """The texts of a string array that begins at its buffers' beginning, without a copy."""
    _, offsets, utf8 = array.buffers()
    if not len(array):
        return Texts(np.empty(0, np.uint8), np.zeros(1, np.int32))
    starts = np.frombuffer(offsets, np.int32, len(array) + 1)
    return Texts(np.frombuffer(utf8, np.uint8, int(starts[-1])) if starts[-1] else np.empty(0, np.uint8), starts)


def check_ids(array: Any, what: str) -> None:
    """Insist on different ids in code point order, none of them empty.

    Raises:
        ArtifactIncompatible: naming the first that is not.
    """
    if len(array) and array[0].as_py() == "":
        raise ArtifactIncompatible(f"{what} has an empty id.")
    wrong = pc.greater_equal(array[:-1], array[1:]).to_numpy(zero_copy_only=False)
    if wrong.any():
        found = array[int(wrong.argmax()) + 1].as_py()
        raise ArtifactIncompatible(f"{what} is not in code point order, or has an id twice: see {shown(found)}.")


def shown(text: str) -> str:
    """A text as an error message shows it: quoted, and not without end."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
