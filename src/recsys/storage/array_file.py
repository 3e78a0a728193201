"""Named arrays in one file, to be mapped read-only: what can be looked at without being read.

Layout: 8 bytes of magic and format, 32 bytes of SHA-256 over all that follows, the length of the header (uint64,
little endian), the header (JSON: the key, and of every array its dtype, shape and offset in the file), then the arrays,
each at an offset that is a multiple of 64. Empty arrays take no bytes.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Arrays: TypeAlias = "Mapping[str, npt.NDArray[Any]]"

MAGIC: Final = b"RECSYS\x00\x01"  # the last byte is the format
_DTYPES: Final = frozenset({"|u1", "<i4", "<i8", "<f8"})
_HASHED_FROM: Final = len(MAGIC) + hashlib.sha256().digest_size
_HEADER_AT: Final = _HASHED_FROM + 8
_ALIGNMENT: Final = 64
_HASH_BLOCK: Final = 1 << 24


class ArrayFileRefused(Exception):
    """A file that is not what it should be: cut short, changed, foreign, of another format or of something else."""


def write_arrays(path: Path, key: Mapping[str, object], arrays: Arrays) -> None:
    """Write a new file that only its owner can read; it may not be on the disk yet. ``path`` must not exist.

    Raises:
        OSError: it cannot be written.
    """
    header, offsets = _header(key, arrays)
    parts = list(_parts(header, arrays, offsets))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # Hashing takes about as long as copying, and both let others run.
    with os.fdopen(descriptor, "wb") as file, ThreadPoolExecutor(1) as beside:
        digest = beside.submit(_digest_of, parts)
        file.write(MAGIC + bytes(hashlib.sha256().digest_size))
        file.writelines(parts)
        file.seek(len(MAGIC))
        file.write(digest.result())


def map_arrays(path: Path, key: Mapping[str, object], *, verify: bool) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file as read-only views of its pages, which stay valid when the file is removed.

    ``verify`` reads the whole file and compares its hash: about a second per gigabyte.

    Raises:
        FileNotFoundError: there is no such file.
        ArrayFileRefused: its content is not that of ``key``, or not whole.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _HEADER_AT:
            raise ArrayFileRefused("It is too short.")
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if pages[: len(MAGIC)] != MAGIC:
        raise ArrayFileRefused("It is of another format.")
    if verify and _digest(pages) != pages[len(MAGIC) : _HASHED_FROM]:
        raise ArrayFileRefused("Its content does not have the hash that it was written with.")
    try:
        (length,) = struct.unpack_from("<Q", pages, _HASHED_FROM)
        header = json.loads(pages[_HEADER_AT : _HEADER_AT + length])
        if header["key"] != dict(key):
            raise ArrayFileRefused(f"It belongs to {header['key']}.")
        return {name: _view(pages, *where) for name, where in header["arrays"].items()}
    except (ValueError, TypeError, LookupError, AttributeError, struct.error) as error:
        raise ArrayFileRefused(f"Its header cannot be read: {error!r}.") from error


def _header(key: Mapping[str, object], arrays: Arrays) -> tuple[bytes, list[int]]:
    """The header, and where each array stands. Filled up with blanks, so that no offset depends on its length."""
    sizes = [array.nbytes for array in arrays.values()]
    room = _aligned(_HEADER_AT + len(_describe(key, arrays, [2**63] * len(sizes))))
    offsets, at = [], room
    for size in sizes:
        offsets.append(at)
        at = _aligned(at + size)
    return _describe(key, arrays, offsets).ljust(room - _HEADER_AT), offsets


def _describe(key: Mapping[str, object], arrays: Arrays, offsets: list[int]) -> bytes:
    where = {
        name: (array.dtype.str, array.shape, offset)
        for (name, array), offset in zip(arrays.items(), offsets, strict=True)
    }
    return json.dumps({"key": dict(key), "arrays": where}).encode()


def _parts(header: bytes, arrays: Arrays, offsets: list[int]) -> Iterator[bytes | memoryview]:
    """All that is hashed, in the order of the file."""
    yield struct.pack("<Q", len(header))
    yield header
    at = _HEADER_AT + len(header)
    for array, offset in zip(arrays.values(), offsets, strict=True):
        yield bytes(offset - at)
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        at = offset + array.nbytes


def _view(pages: mmap.mmap, dtype: str, shape: list[int], offset: int) -> npt.NDArray[Any]:
    """An array of the file, as a plain ndarray: views of ``np.memmap`` cost microseconds each."""
    if dtype not in _DTYPES or offset % _ALIGNMENT or min([offset, *shape]) < 0:
        raise ValueError(f"no array of {dtype} and {shape} stands at {offset}")
    if not prod(shape):
        return _frozen(np.empty(shape, dtype))
    return _frozen(np.frombuffer(pages, dtype, prod(shape), offset).reshape(shape))


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.setflags(write=False)
    return array


def _digest_of(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _digest(pages: mmap.mmap) -> bytes:
    digest = hashlib.sha256()
    with memoryview(pages) as whole:
        for at in range(_HASHED_FROM, len(whole), _HASH_BLOCK):
            with whole[at : at + _HASH_BLOCK] as block:
                digest.update(block)
    return digest.digest()


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
