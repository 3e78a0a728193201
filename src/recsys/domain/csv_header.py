"""What is wrong with the header of a CSV file: other separators than commas, a column twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def header_fault(header: Sequence[str]) -> str | None:
    """What is wrong with a header; None: nothing. A nameless column may stand twice, as it names nothing."""
    twice = next((name for name, count in Counter(filter(None, header)).items() if count > 1), None)
    return separator_fault(header) if twice is None else f"The column {twice[:80]!r} stands twice in the header."


def separator_fault(header: Sequence[str]) -> str | None:
    """What is wrong with a header that, split at commas, is a single name with another separator in it; else None."""
    if len(header) != 1:
        return None
    found = next((name for character, name in _SEPARATORS.items() if character in header[0]), None)
    return found and f"The columns are separated by {found}; save the file with commas between them."
