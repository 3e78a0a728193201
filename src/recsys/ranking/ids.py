"""Ids of items and subjects: a stand-in of the same API, until the compact one is merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.ranking.arrays import Indices

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ids:
    """A bijection between N texts and 0…N-1 in code point order."""

    def __init__(self, sorted_texts: Sequence[str]) -> None:
        self._texts = tuple(sorted_texts)
        self._index = {text: at for at, text in enumerate(self._texts)}

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, texts: Sequence[str]) -> Indices:
        """The indices of those texts that are known, in the order given."""
        return np.array([self._index[text] for text in texts if text in self._index], np.int32)

    def index(self, text: str) -> int:
        """The index of a text, -1 when unknown."""
        return self._index.get(text, -1)

    def text(self, index: int) -> str:
        """The text of an index."""
        return self._texts[index]

    def texts(self, indices: Sequence[int]) -> list[str]:
        """The texts of some indices, in the order given."""
        return [self._texts[index] for index in indices]


def make_ids(sorted_texts: Sequence[str]) -> Ids:
    """Ids of texts that are sorted by code point and unique."""
    return Ids(sorted_texts)
