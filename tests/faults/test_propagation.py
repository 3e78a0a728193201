"""Replicas that hear nothing, and one that stands still: what was changed arrives all the same, and nothing goes back."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import PostgresTemplate
from tests.support.effort import effort
from tests.support.server import Server, serve
from tests.support.shell import by_hand

ADMIN = "/v1/admin/tenants/demo"
WORKERS = 3
ROUNDS = effort(4, 50)
STOPPED_S = effort(5, 30)
LISTENING = "application_name = 'recsys change feed' and datname = current_database()"


@pytest.fixture
def url(postgres_template: PostgresTemplate) -> str:
    return postgres_template.fresh()


@pytest.fixture
def server(url: str, tmp_path: Path) -> Iterator[Server]:
    # Longer than anything is stopped here: the supervisor must not put another in its place.
    with serve(url, tmp_path, workers=WORKERS, hung_s=300) as server:
        with server.client() as client:
            set_up(client)
            _wait_until(lambda: len(_replicas(client)) == WORKERS)
        yield server


def test_without_ears_every_replica_converges_by_asking(server: Server, url: str) -> None:
    """Each round every LISTEN connection is cut, and no NOTIFY is ever sent."""
    by_hand(url, "alter table tenants disable trigger tenants_notify")
    by_hand(url, "alter table tenant_api_keys disable trigger tenant_api_keys_notify")
    cut = 0
    with server.client() as client:
        for number in range(ROUNDS):
            _wait_until(lambda: by_hand(url, f"select count(*) from pg_stat_activity where {LISTENING}") > [(0,)])
            found = by_hand(url, f"select pg_terminate_backend(pid) from pg_stat_activity where {LISTENING}")
            cut += len(found)
            receipt = _there_and_back(client, number)["receipt"]
            assert receipt["converged"], f"round {number}: {receipt}"
            assert len(receipt["replicas"]) == WORKERS
    assert cut >= ROUNDS, "the connections were meant to be cut"


def test_a_replica_that_stood_still_is_named_and_never_goes_back(server: Server) -> None:
    with _connections(server) as connections:
        client, pinned = connections.values()  # what is asked through the first must not wait for the one that stands
        id_ = _worker(pinned)
        pid = next(each["pid"] for each in _replicas(client) if each["id"] == id_)
        os.kill(pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        try:
            _wait_until(lambda: {each["id"]: each["status"] for each in _replicas(client)}[id_] == "silent")
            changes = 0
            while changes == 0 or time.monotonic() - stopped_at < STOPPED_S:
                receipt = _there_and_back(client, changes)["receipt"]
                statuses = {each["id"]: each["status"] for each in receipt["replicas"]}
                assert (receipt["converged"], statuses.pop(id_)) == (False, "silent")
                assert set(statuses.values()) == {"converged"}
                changes += 1
            revision = client.get(ADMIN).json()["revision"]
        finally:
            os.kill(pid, signal.SIGCONT)
        seen: list[int] = []
        while not seen or seen[-1] != revision:
            seen.append(_revision(pinned))
            assert time.monotonic() - stopped_at < STOPPED_S + 60, f"it stays at {seen[-1]}, not {revision}"
    assert seen == sorted(seen)


@contextlib.contextmanager
def _connections(server: Server) -> Iterator[dict[str, httpx.Client]]:
    """Two clients, each with a connection that it keeps to another worker, by the worker's id."""
    with contextlib.ExitStack() as opened:
        found: dict[str, httpx.Client] = {}
        while len(found) < 2:
            client = opened.enter_context(server.client())
            found.setdefault(_worker(client), client)
        yield found


def _there_and_back(client: httpx.Client, number: int) -> dict[str, Any]:
    """Change the config and roll that back; the answer to the rollback."""
    before = client.get(ADMIN).json()["revision"]
    client.put(f"{ADMIN}/config", json={"weights": {"pop": 1_000 + number}}).raise_for_status()
    answer: dict[str, Any] = client.post(f"{ADMIN}/rollback", json={"revision": before}).raise_for_status().json()
    assert answer["changed"]
    return answer


def _replicas(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/admin/replicas").raise_for_status().json()["replicas"]
    return found


def _worker(client: httpx.Client) -> str:
    return str(client.get("/health/detailed").json()["replica"]["id"])


def _revision(client: httpx.Client) -> int:
    return int(client.post("/v1/recommend", json=RECOMMEND).raise_for_status().json()["meta"]["revision"])


def _wait_until(holds: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
