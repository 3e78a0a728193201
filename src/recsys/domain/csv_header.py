"""The header of a CSV file that some programs write with other separators than commas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def separator_fault(header: Sequence[str]) -> str | None:
    """What is wrong with a header that, split at commas, is a single name with another separator in it; else None."""
    if len(header) != 1:
        return None
    found = next((name for character, name in _SEPARATORS.items() if character in header[0]), None)
    return found and f"The columns are separated by {found}; save the file with commas between them."
