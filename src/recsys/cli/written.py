"""Writes what a person named a place for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.cli.failure import Misused

if TYPE_CHECKING:
    from pathlib import Path


def write_file(file: Path, text: str) -> None:
    """Write a file, or write over it.

    Raises:
        Misused: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise not_written(file, error) from None


def not_written(place: Path, error: OSError) -> Misused:
    """That nothing can be written to a file or folder, and why."""
    return Misused(f"{place} cannot be written: {error.strerror}.", "Check the path, and its rights.")
