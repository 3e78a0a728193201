"""Workers of a host compile a surface once and map the same pages; a restart maps them again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import SqliteTemplate
from tests.support.server import Server, serve

ROOT = Path(__file__).parents[2]


def wait_for(what: Callable[[], Any], timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


class Builders:
    """Processes that want the same signals."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.support.builder", str(self._directory)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        self._started.append(process)
        return process

    def reading(self) -> list[int]:
        return [int(path.name.partition("-")[2]) for path in self._directory.glob("reads-*")]

    def go(self) -> None:
        (self._directory / "go").touch()

    def stop(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def builders(tmp_path: Path) -> Iterator[Builders]:
    builders = Builders(tmp_path)
    yield builders
    builders.stop()


def answer_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def maps_of(process_id: int) -> set[str]:
    """The files of signals that a process has mapped."""
    lines = Path(f"/proc/{process_id}/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if ".signals" in line}


def test_processes_that_start_together_build_once_and_map_the_same_file(builders: Builders) -> None:
    processes = [builders.start() for _ in range(3)]
    wait_for(builders.reading)
    time.sleep(1)  # time enough for the others to read too, if they did
    builders.go()

    assert [answer_of(process) for process in processes] == ["1000"] * 3
    assert len(builders.reading()) == 1
    maps = {frozenset(maps_of(process.pid)) for process in processes}
    assert len(maps) == 1
    assert len(next(iter(maps))) == 1


def test_a_worker_killed_while_it_builds_is_followed_by_another(builders: Builders) -> None:
    first = builders.start()
    wait_for(builders.reading)
    second = builders.start()
    time.sleep(0.5)
    assert builders.reading() == [first.pid]
    first.kill()
    builders.go()

    assert answer_of(second) == "1000"
    assert set(builders.reading()) == {first.pid, second.pid}


def workers_of(server: Server) -> list[int]:
    """The processes below the supervisor that have signals mapped."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid:")).split()[1]
            if int(parent) == server.process.pid and maps_of(int(status.parent.name)):
                found.append(int(status.parent.name))
        except (OSError, StopIteration):
            continue
    return found


def map_the_same(workers: list[int]) -> bool:
    maps = [maps_of(worker) for worker in workers]
    return len(maps) == 2 and len(maps[0]) == 1 and maps[0] == maps[1]


def answer(client: httpx.Client) -> bytes:
    request = {**RECOMMEND, "anchors": {"item_ids": ["i3"]}, "options": {"explain": "full"}}
    answer = client.post("/v1/recommend", json=request).raise_for_status()
    whole: bytes = answer.content
    return whole[: whole.index(b'"meta"')]


def test_two_workers_map_the_same_file_and_a_restart_maps_it_again(
    sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    url, cache = sqlite_template.fresh(), tmp_path / "cache"
    with serve(url, tmp_path, workers=2, cache_dir=cache) as server, server.client() as client:
        set_up(client)
        wait_for(lambda: map_the_same(workers_of(server)))  # while rows are loaded one may be at an earlier file
        before = answer(client)
    (path,) = cache.rglob("*.signals")
    written = path.stat()

    with serve(url, tmp_path, workers=2, cache_dir=cache) as server, server.client() as client:
        assert answer(client) == before
        assert {file for worker in workers_of(server) for file in maps_of(worker)} == {str(path)}
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_signals_that_rotted_between_runs_are_built_again(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    url, cache = sqlite_template.fresh(), tmp_path / "cache"
    with serve(url, tmp_path, cache_dir=cache) as server, server.client() as client:
        set_up(client)
        before = answer(client)
    (path,) = cache.rglob("*.signals")
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"\x7f" + whole[-2:])

    with serve(url, tmp_path, cache_dir=cache) as server, server.client() as client:
        assert answer(client) == before
        assert "is removed and built again" in server.log.read_text()
    assert path.read_bytes() == whole
