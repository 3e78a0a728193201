"""Files of the log: names, rotation, retention, and what a failed or broken write leaves behind."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from recsys.storage.log_files import LogFiles

DAY = date(2026, 3, 1)
LINE = b'{"n":1}\n'


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def content(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in files(root))


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_per_kind_tenant_and_day(tmp_path: Path) -> None:
    log = LogFiles(tmp_path, 1_000)
    for kind, tenant, day in (("exposures", "t1", DAY), ("events", "t1", DAY), ("events", "t2", date(2026, 3, 2))):
        log.append(kind, tenant, day, LINE)
        log.append(kind, tenant, day, LINE, durable=True)
    folders = ["events/t1/2026-03-01", "events/t2/2026-03-02", "exposures/t1/2026-03-01"]
    assert [str(path.parent.relative_to(tmp_path)) for path in files(tmp_path)] == folders
    assert all(path.read_bytes() == LINE * 2 and path.suffix == ".jsonl" for path in files(tmp_path))


def test_two_writers_never_share_a_file_so_a_torn_line_stays_the_last_of_its_own(tmp_path: Path) -> None:
    LogFiles(tmp_path, 1_000).append("events", "t", DAY, b'{"n":1}\n{"tor')
    LogFiles(tmp_path, 1_000).append("events", "t", DAY, LINE)
    assert sorted(path.read_bytes() for path in files(tmp_path)) == [LINE, b'{"n":1}\n{"tor']


def test_a_full_file_is_followed_by_the_next_number(tmp_path: Path) -> None:
    log = LogFiles(tmp_path, file_bytes=2 * len(LINE))
    for _ in range(5):
        log.append("events", "t", DAY, LINE)
    found = files(tmp_path)
    assert [path.stat().st_size for path in found] == [16, 16, 8]
    assert [path.stem.rpartition("-")[2] for path in found] == ["0000", "0001", "0002"]


def test_retention_removes_whole_days_of_every_tenant_and_nothing_else(tmp_path: Path) -> None:
    log = LogFiles(tmp_path, 1_000)
    for tenant in ("t1", "t2"):
        for day in (26, 27, 28):
            log.append("exposures", tenant, date(2026, 2, day), LINE)
    (tmp_path / "exposures/t1/2026-02-26/notes.txt").touch()
    (tmp_path / "exposures/t1/not-a-date").mkdir()
    (tmp_path / "salt").touch()
    log.prune(date(2026, 2, 28))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.suffix != ".jsonl"}
    assert left == {
        "salt", "exposures", "exposures/t1", "exposures/t2", "exposures/t1/not-a-date", "exposures/t1/2026-02-26",
        "exposures/t1/2026-02-26/notes.txt", "exposures/t1/2026-02-28", "exposures/t2/2026-02-28",
    }  # fmt: skip
    assert content(tmp_path) == LINE * 2
    log.append("exposures", "t1", date(2026, 2, 26), LINE)
    assert content(tmp_path) == LINE * 3, "a late line makes its day again"


def test_a_removed_file_or_folder_is_made_again(tmp_path: Path) -> None:
    log = LogFiles(tmp_path / "log", 1_000)
    for remove in (lambda path: path.unlink(), lambda path: (path.unlink(), path.parent.rmdir())):
        log.append("events", "t", DAY, LINE)
        remove(files(tmp_path)[0])
        log.append("events", "t", DAY, LINE)
        assert content(tmp_path) == LINE


def test_what_does_not_fit_is_not_there_in_part_and_the_next_file_takes_the_next_line(tmp_path: Path) -> None:
    log = LogFiles(tmp_path, 1_000)
    with no_file_larger_than(20):
        log.append("events", "t", DAY, LINE * 2)
        with pytest.raises(OSError) as caught:
            log.append("events", "t", DAY, LINE)
        assert caught.value.errno == errno.EFBIG
        assert content(tmp_path) == LINE * 2
        log.append("events", "t", DAY, LINE)
    assert [path.read_bytes() for path in files(tmp_path)] == [LINE * 2, LINE]


def test_when_it_cannot_even_be_cut_back_nothing_is_written_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFiles(tmp_path, 1_000)
    real = os.write
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", lambda fd, data: real(fd, data[:5]) if len(data) == 8 else _fail())
        broken.setattr(os, "ftruncate", lambda *_: _fail())
        with pytest.raises(OSError):
            log.append("events", "t", DAY, LINE)
    log.append("events", "t", DAY, LINE)
    assert [path.read_bytes() for path in files(tmp_path)] == [LINE[:5], LINE]


def _fail() -> int:
    raise OSError(errno.EIO, "broken")


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with pytest.raises(OSError):
        LogFiles(tmp_path / "log", 1_000).append("events", "t", DAY, LINE)
