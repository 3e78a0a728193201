"""A file of arrays gives back exactly what was written, or nothing."""

from __future__ import annotations

import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from recsys.storage.array_file import MAGIC, ArrayFileRefused, map_arrays, write_arrays

KEY = {"surface": "home", "data_revision": 3}
ARRAYS: dict[str, npt.NDArray[Any]] = {
    "ids": np.frombuffer("aé😀".encode(), np.uint8),
    "starts": np.array([0, 1, 3], np.int64),
    "none": np.empty(0, np.int32),
    "values": np.array([[0.1, np.nan], [-0.0, np.inf]]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "arrays"
    write_arrays(path, KEY, ARRAYS)
    return path


def read(path: Path) -> dict[str, npt.NDArray[Any]]:
    return map_arrays(path, KEY, verify=True)


def test_arrays_come_back_as_plain_aligned_read_only_views(path: Path) -> None:
    found = read(path)

    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert type(found[name]) is np.ndarray
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert not found[name].flags.writeable
        assert found[name].ctypes.data % 64 == 0 or not array.size


@settings(deadline=None)  # the machine may be busy
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.sampled_from(["u1", "i4", "i8", "f8"]).flatmap(lambda kind: arrays_of.arrays(kind, st.integers(0, 40))),
        max_size=5,
    )
)
def test_any_arrays_come_back(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, npt.NDArray[Any]]) -> None:
    path = tmp_path_factory.mktemp("any") / "arrays"
    write_arrays(path, KEY, arrays)

    assert {name: array.tobytes() for name, array in read(path).items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }


def test_only_the_owner_reads_the_file(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_never_overwritten(path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_arrays(path, KEY, ARRAYS)


def test_what_is_mapped_outlives_the_file(path: Path) -> None:
    found = read(path)
    path.unlink()

    assert found["values"].tobytes() == ARRAYS["values"].tobytes()


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(ArrayFileRefused):
            read(path)


def test_every_truncation_and_what_is_appended_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(len(whole)), len(whole) + 1]:
        path.write_bytes((whole + b"\0")[:length])
        with pytest.raises(ArrayFileRefused):
            read(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 4_096, b"PK\x03\x04" + b"x" * 4_096, MAGIC])
def test_a_foreign_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ArrayFileRefused):
        read(path)


def test_another_format_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(MAGIC[:-1] + b"\x02" + whole[len(MAGIC) :])
    with pytest.raises(ArrayFileRefused, match="another format"):
        read(path)


def test_a_file_under_another_files_name_is_refused(path: Path) -> None:
    with pytest.raises(ArrayFileRefused, match="belongs to"):
        map_arrays(path, KEY | {"data_revision": 4}, verify=True)


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"key": {}}', b"\xff", b'{"key":{},"arrays":{"a":["<i8",[9],0,1]}}'])
def test_a_header_that_says_something_else_is_refused_without_its_hash_too(path: Path, header: bytes) -> None:
    path.write_bytes(MAGIC + bytes(32) + struct.pack("<Q", len(header)) + header)
    with pytest.raises(ArrayFileRefused):
        map_arrays(path, {}, verify=False)


@pytest.mark.parametrize("where", ['["<i8", [99], 64]', '["<i8", [1], 8]', '["<i8", [-1], 64]', '["|O", [1], 64]'])
def test_an_array_that_cannot_be_there_is_refused(path: Path, where: str) -> None:
    header = f'{{"key": {{}}, "arrays": {{"a": {where}}}}}'.encode().ljust(200)
    path.write_bytes(MAGIC + bytes(32) + struct.pack("<Q", len(header)) + header)
    with pytest.raises(ArrayFileRefused):
        map_arrays(path, {}, verify=False)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nowhere")
