"""SIGHUP replaces the workers one by one under load, and no request fails."""

import asyncio
import errno
import itertools
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import recsys
from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import SqliteTemplate
from tests.support.load import Requests, load
from tests.support.server import Server, serve

PAUSES_S = (0.002, 0.005, 0.005, 0.02, 0.1, 1.2)
"""Of clients between two requests: connections that are hardly ever idle, and some that are when their worker ends."""
NUMBERS = itertools.count(1)


def recommends() -> Requests:
    while True:
        yield "POST", "/v1/recommend", RECOMMEND


def changes() -> Requests:
    while True:
        yield "PUT", "/v1/admin/tenants/demo/config", {"weights": {"pop": next(NUMBERS)}}


def events() -> Requests:
    while True:
        event = {"event_id": f"e{next(NUMBERS)}", "type": "view", "surface": "home", "item_id": "i1"}
        yield "POST", "/v1/events", {"events": [{**event, "user": {"user_id": "u"}}]}


async def reload(server: Server, outcome: str = "Reload done.") -> None:
    """Send SIGHUP and wait for what comes of it."""
    before = server.log.read_text().count(outcome)
    os.kill(server.process.pid, signal.SIGHUP)
    await until(lambda: server.log.read_text().count(outcome) > before, within_s=90)


async def until(holds: Callable[[], bool], within_s: float) -> float:
    """Wait for it; how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + within_s, "it never came to that"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize(("workers", "reloads"), [(1, 3), (2, 2)])
async def test_reloads_under_load_fail_no_request(
    sqlite_template: SqliteTemplate, tmp_path: Path, workers: int, reloads: int
) -> None:
    with serve(sqlite_template.fresh(), tmp_path, workers=workers) as server, server.client() as client:
        set_up(client)
        seen = set(server.workers())
        async with load(server.url, recommends, pauses_s=PAUSES_S) as (tally,):
            for _ in range(reloads):
                await reload(server)
                seen |= set(server.workers())
        assert len(seen) == workers * (1 + reloads), "every worker is a new one"
        assert tally.failures == []
        assert tally.sent_away >= reloads * len(PAUSES_S), "who was connected to a worker that ended was told so"


async def test_changes_and_events_during_a_reload_are_all_kept(database_url: str, tmp_path: Path) -> None:
    with serve(database_url, tmp_path, workers=2) as server, server.client() as client:
        set_up(client)
        async with load(server.url, recommends, changes, events, pauses_s=(0.001, 0.01, 0.3)) as tallies:
            await reload(server)
        asked, changed, told = tallies
        assert [tally.failures for tally in tallies] == [[], [], []]
        assert min(changed.answers, told.answers) > 50
        revision = client.get("/v1/admin/tenants/demo").json()["revision"]
    assert len({json.loads(body)["revision"] for body in changed.bodies}) == changed.answers
    assert max(json.loads(body)["revision"] for body in changed.bodies) == revision
    request_ids = {json.loads(body)["meta"]["request_id"] for body in asked.bodies}
    assert request_ids <= logged(tmp_path, "exposures", lambda line: line["meta"]["request_id"])
    assert len(logged(tmp_path, "events", lambda line: line["event_id"])) == told.answers


def logged(directory: Path, kind: str, name_of: Callable[[dict[str, dict[str, str]]], object]) -> set[object]:
    files = directory.glob(f"recsys-logs/{kind}/*/*/*.jsonl")
    return {name_of(json.loads(line)) for path in files for line in path.read_bytes().splitlines()}


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, which processes started from now on run."""
    package = tmp_path / "release" / "recsys"
    shutil.copytree(Path(recsys.__file__).parent, package)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package


async def test_new_code_comes_into_service_and_broken_code_does_not(
    sqlite_template: SqliteTemplate, tmp_path: Path, release: Path
) -> None:
    wiring = release / "bootstrap" / "wiring.py"
    good = wiring.read_text()
    with serve(sqlite_template.fresh(), tmp_path, workers=2) as server, server.client() as client:
        set_up(client)
        async with load(server.url, recommends, pauses_s=PAUSES_S) as (tally,):
            workers = server.workers()
            wiring.write_text(f"{good}\nraise RuntimeError('broken')\n")
            await reload(server, "Reload given up")
            assert server.workers() == workers
            wiring.write_text(good)
            (release / "__init__.py").write_text('"""Next."""\n\n__version__ = "9.9.9"\n')
            await reload(server)
        assert tally.failures == []
        assert not set(workers) & set(server.workers())
        assert client.get("/openapi.json").json()["info"]["version"] == "9.9.9"
    assert "before it was ready. These serve on: " in server.log.read_text()


async def test_a_worker_that_does_not_become_ready_does_not_replace_one(
    sqlite_template: SqliteTemplate, tmp_path: Path, release: Path
) -> None:
    with serve(sqlite_template.fresh(), tmp_path, ready_s=1) as server, server.client() as client:
        workers = server.workers()
        with (release / "bootstrap" / "wiring.py").open("a") as wiring:
            wiring.write("\nimport time\n\ntime.sleep(600)\n")
        await reload(server, f"did not become ready. These serve on: {workers[0]}.")
        assert server.workers() == workers
        assert client.get("/readyz").status_code == 200


async def test_a_killed_worker_is_replaced_and_new_connections_wait_for_it(
    sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    with serve(sqlite_template.fresh(), tmp_path) as server, server.client() as client:
        set_up(client)
        (killed,) = server.workers()
        os.kill(killed, signal.SIGKILL)
        async with load(server.url, recommends, pauses_s=(0.01,)) as (tally,):
            await until(lambda: tally.answers > 0, within_s=30)
        assert tally.failures == []
        assert killed not in server.workers()


async def test_a_worker_that_hangs_is_killed_and_replaced(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    with serve(sqlite_template.fresh(), tmp_path, workers=2, hung_s=2) as server:
        await until(lambda: len(server.workers()) == 2, within_s=30)
        await asyncio.sleep(1)
        hanging = server.workers()[0]
        os.kill(hanging, signal.SIGSTOP)
        took_s = await until(lambda: hanging not in server.workers(), within_s=20)
        assert took_s > 1
        await until(lambda: len(server.workers()) == 2, within_s=30)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_ends_in_time_whatever_its_connections_do(
    sqlite_template: SqliteTemplate, tmp_path: Path, sent: signal.Signals
) -> None:
    """One connection is idle, one never sends the rest of its request."""
    with serve(sqlite_template.fresh(), tmp_path, shutdown_s=4, drain_s=2) as server:
        port = int(server.url.rsplit(":", 1)[1])
        idle = await asyncio.open_connection("127.0.0.1", port)
        half = await asyncio.open_connection("127.0.0.1", port)
        half[1].write(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await asyncio.sleep(0.3)
        server.process.send_signal(sent)
        began = time.monotonic()
        await until(lambda: is_refused(port), within_s=1.8)
        assert await idle[0].read() == b""
        assert time.monotonic() - began > 1.9, "an idle connection is kept for drain_s"
        await until(lambda: server.process.poll() is not None, within_s=15)
        took_s = time.monotonic() - began
        assert server.process.returncode == 0
        assert 3.9 < took_s < 10
        idle[1].close()
        half[1].close()


async def test_a_service_that_ends_in_the_middle_of_a_reload_keeps_nobody_waiting(
    sqlite_template: SqliteTemplate, tmp_path: Path, release: Path
) -> None:
    """The new worker has taken the sockets over and takes its time to start."""
    with serve(sqlite_template.fresh(), tmp_path) as server:
        port, starting = int(server.url.rsplit(":", 1)[1]), tmp_path / "starting"
        with (release / "bootstrap" / "wiring.py").open("a") as wiring:
            wiring.write(f"\nimport time\n\nopen({str(starting)!r}, 'w').close()\ntime.sleep(3)\n")
        os.kill(server.process.pid, signal.SIGHUP)
        await until(starting.exists, within_s=20)
        server.process.send_signal(signal.SIGTERM)
        await until(lambda: is_refused(port), within_s=0.8)
        await until(lambda: server.process.poll() is not None, within_s=15)
        assert server.process.returncode == 0


def is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
