"""The compiler of the loops that Python is too slow for, with types that mypy can follow.

No fastmath and no threads: an answer must not depend on the machine. Machine code is kept on disk, and numba looks only
at the file of the function that Python calls to see whether it is out of date: whatever that function calls, and the
constants that it uses, must stand in the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import get_cfarray_intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")
Addresses = npt.NDArray[np.int64]

_RAW: Final[dict[str, Any]] = {"boundscheck": False, "_nrt": False}


def compiled_for_threads(function: F) -> F:
    """Compile on the first call with each set of types; read-only arrays are other types than writable ones.

    Other threads run meanwhile. For loops that take a while.
    """
    return _compile(function, nogil=True)


def compiled_raw(function: F) -> F:
    """Compile a function of packed arrays that allocates nothing, without counting references.

    With thirty arrays at work, counting costs many times what the loops do, and so does telling their types. Holds the
    interpreter lock: taking it back would cost more than a short call takes. For loops of microseconds.
    """
    return _compile(function, **_RAW)


def inlined_raw(function: F) -> F:
    """As :func:`compiled_raw`, for what only compiled functions call; it becomes part of them."""
    return cast("F", numba.njit(error_model="numpy", forceinline=True, **_RAW)(function))


def _compile(function: F, **options: Any) -> F:
    try:
        return cast("F", numba.njit(cache=True, error_model="numpy", **options)(function))
    except RuntimeError:  # nowhere to keep machine code: a read-only installation of a user without a home
        return cast("F", numba.njit(error_model="numpy", **options)(function))


class Packed(NamedTuple):
    """Arrays, and two numbers for each of them, its address and its size, by which compiled code finds them.

    The arrays stand here so that they live as long as their addresses are known.
    """

    arrays: tuple[npt.NDArray[Any], ...]
    addresses: Addresses


def pack(arrays: tuple[npt.NDArray[Any], ...], dtypes: str) -> Packed:
    """Note where arrays are. ``dtypes``: what compiled code takes them for, a letter each (``i``: int32, ``l``: int64).

    Raises:
        TypeError: an array has another dtype or is not contiguous; compiled code would read beside it.
    """
    for array, dtype in zip(arrays, dtypes, strict=True):
        if array.dtype.char != dtype or not array.flags.c_contiguous:
            raise TypeError(f"Expected a contiguous array of {np.dtype(dtype)}, got {array.dtype}.")
    noted = [number for array in arrays for number in (array.ctypes.data, array.size)]
    return Packed(arrays, np.array(noted, np.int64))


def _pointer(_typing: Any, _address: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


pointer = cast("Callable[[Any], Any]", intrinsic(_pointer))
"""An address as a pointer, for the views below; for compiled code only."""


def _trailing_zeros(_typing: Any, _number: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


trailing_zeros = cast("Callable[[Any], int]", intrinsic(_trailing_zeros))
"""The place of the lowest bit that is set in a uint64 other than 0; for compiled code only."""

int32s, int64s, uint32s, uint64s, float64s, uint8s = (
    get_cfarray_intrinsic("C", types.NumberClass(each))  # type: ignore[no-untyped-call]
    for each in (types.int32, types.int64, types.uint32, types.uint64, types.float64, types.uint8)
)
"""The array of a given shape at a pointer; for compiled code only."""
