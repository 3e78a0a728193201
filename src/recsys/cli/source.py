"""Reads what a command sends: a file, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from recsys.cli.failure import Misused

STDIN = Path("-")


def read_source(file: Path) -> bytes:
    """The bytes of a file; ``-`` is standard input.

    Raises:
        Misused: the file cannot be read.
    """
    if file == STDIN:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}; nothing was sent.") from None
