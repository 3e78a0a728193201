"""Where answers go: what cannot be encoded is escaped, and what cannot be written is told from every other error."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputFailed(OSError):
    """Standard output takes nothing more, and not because whoever read it has left."""


def guard_output() -> None:
    """Make standard output and standard error fit for any text, and an error of standard output an ``OutputFailed``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no "?", which would go unnoticed in a document
    if sys.stdout is not None:  # as it is when the shell has closed it
        sys.stdout = cast("TextIO", _Guarded(sys.stdout))


def finish_output() -> None:
    """Write what is still held back, while somebody is there to say that it could not be.

    Raises:
        OutputFailed: it could not be.
        BrokenPipeError: whoever read it has left.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_output() -> None:
    """Let go of what could not be written; Python would try once more at its end, and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Guarded:
    """A stream whose errors are not those of some other file; in all else the stream that it was."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _told_apart():
            return self._stream.write(text)

    def flush(self) -> None:
        with _told_apart():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error.errno, error.strerror) from None
