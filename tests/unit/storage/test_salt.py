"""The salt: made once, whoever asks first, and readable by nobody else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from recsys.storage.salt import keep_salt, read_salt


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    assert read_salt(tmp_path) is None
    salt = keep_salt(tmp_path)
    assert len(salt) == 64
    assert keep_salt(tmp_path) == read_salt(tmp_path) == salt == (tmp_path / "salt").read_bytes().strip()
    assert (tmp_path / "salt").stat().st_mode & 0o777 == 0o600


def test_of_many_at_once_all_get_the_same(tmp_path: Path) -> None:
    for round_ in range(20):
        directory = tmp_path / str(round_)
        directory.mkdir()
        barrier = Barrier(8)

        def race(_: int, directory: Path = directory, barrier: Barrier = barrier) -> bytes:
            barrier.wait()
            return keep_salt(directory)

        with ThreadPoolExecutor(8) as workers:
            assert len(set(workers.map(race, range(8)))) == 1
        assert [path.name for path in directory.iterdir()] == ["salt"], "nothing else is left behind"


def test_an_empty_one_is_an_error_and_no_salt(tmp_path: Path) -> None:
    (tmp_path / "salt").write_bytes(b"\n")
    with pytest.raises(OSError, match="empty"):
        keep_salt(tmp_path)
