"""The compiler of the few loops that Python is too slow for, with a type that mypy can follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def compiled(function: F) -> F:
    """Compile on the first call with each set of types; read-only arrays are other types than writable ones.

    Holds the interpreter lock: taking it back would cost more than a short call takes. For loops of microseconds.
    """
    return _compile(function, nogil=False)


def compiled_for_threads(function: F) -> F:
    """As :func:`compiled`, but other threads run meanwhile. For loops that take a while."""
    return _compile(function, nogil=True)


def _compile(function: F, *, nogil: bool) -> F:
    try:
        return cast("F", numba.njit(cache=True, error_model="numpy", nogil=nogil)(function))
    except RuntimeError:  # nowhere to keep machine code: a read-only installation of a user without a home
        return cast("F", numba.njit(error_model="numpy", nogil=nogil)(function))
