"""A rollback reaches every worker and proves it: real workers on real databases, with what goes wrong in between."""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import PostgresTemplate, SqliteTemplate
from tests.support.server import Server, serve
from tests.support.shell import by_hand

ADMIN = "/v1/admin/tenants/demo"
WORKERS = 3
FEED = "application_name = 'recsys change feed' and datname = current_database()"


@pytest.fixture(scope="module")
def postgres_url(postgres_template: PostgresTemplate) -> str:
    return postgres_template.fresh()


@pytest.fixture(scope="module")
def running(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(postgres_url, tmp_path_factory.mktemp("converge"), workers=WORKERS) as server:
        with server.client() as client:
            set_up(client)
            wait_until(lambda: len(replicas(client)) == WORKERS)
        yield server


@pytest.fixture
def client(running: Server) -> Iterator[httpx.Client]:
    with running.client() as client:
        wait_until(lambda: len(replicas(client)) == WORKERS)
        yield client


def test_a_rollback_answers_once_every_worker_serves_it(client: httpx.Client) -> None:
    revision = 0
    for number in range(5):
        receipt = converged_rollback(client, number)
        assert {each["status"] for each in receipt["replicas"]} == {"converged"}
        assert all(each["took_ms"] <= receipt["waited_ms"] <= 2_000 for each in receipt["replicas"])
        revision = client.get(ADMIN).json()["revision"]
        assert serving_now(client) == {revision}, "all of them, right after the answer"
    again = client.post(f"{ADMIN}/rollback", json={"revision": revision}).json()
    assert (again["changed"], again["receipt"]["converged"], len(again["receipt"]["replicas"])) == (
        False,
        True,
        WORKERS,
    )


def test_a_change_waits_for_every_worker_when_asked_to(client: httpx.Client) -> None:
    answer = client.put(f"{ADMIN}/config?wait=converged", json={"weights": {"pop": 77}}).json()
    assert answer["receipt"]["converged"]
    assert len(answer["receipt"]["replicas"]) == WORKERS
    assert "receipt" not in client.put(f"{ADMIN}/config", json={"weights": {"pop": 78}}).json()


def test_an_invalidation_is_applied_once_every_worker_read_again(client: httpx.Client, postgres_url: str) -> None:
    answer = client.post(f"{ADMIN}/cache/invalidate", json={"targets": ["config", "rules"]}).json()
    assert (answer["status"], answer["invalidated"]) == ("applied", {"config": 1, "rules": 1})
    assert len(answer["receipt"]["replicas"]) == WORKERS
    stored = by_hand(postgres_url, f"select status from cache_invalidation_events where id = {answer['event_id']}")
    assert stored == [("applied",)]


def test_a_killed_listen_connection_is_replaced_and_polling_bridges_the_gap(
    client: httpx.Client, postgres_url: str
) -> None:
    before = feeds(postgres_url)
    assert len(before) == WORKERS
    by_hand(postgres_url, f"select pg_terminate_backend(pid) from pg_stat_activity where {FEED}")
    assert converged_rollback(client, 100)["converged"]
    wait_until(lambda: len(feeds(postgres_url) - before) == WORKERS)
    assert converged_rollback(client, 101)["waited_ms"] < 1_500


def test_without_a_single_notification_a_change_is_served_by_the_next_poll(
    client: httpx.Client, postgres_url: str
) -> None:
    by_hand(postgres_url, "alter table tenants disable trigger tenants_notify")
    try:
        changed = client.put(f"{ADMIN}/config", json={"weights": {"pop": 55}}).json()
        began = stale_until = time.monotonic()
        while (asked := time.monotonic()) - began < 2.5:
            if serving_now(client, asking=1) != {changed["revision"]}:
                stale_until = asked
        assert stale_until - began < 1.5
        assert converged_rollback(client, 200)["waited_ms"] < 1_500
    finally:
        by_hand(postgres_url, "alter table tenants enable trigger tenants_notify")


def test_a_stopped_worker_is_named_and_never_goes_back_afterwards(client: httpx.Client) -> None:
    answering = client.get("/health/detailed").json()["replica"]["id"]
    victim = next(each for each in replicas(client) if each["id"] != answering)
    other = next(each["pid"] for each in replicas(client) if each["id"] == answering)
    os.kill(victim["pid"], signal.SIGSTOP)
    try:
        wait_until(lambda: next(e for e in replicas(client) if e["id"] == victim["id"])["status"] == "silent")
        receipt = rollback(client, 300)["receipt"]
        assert not receipt["converged"]
        statuses = {each["id"]: each["status"] for each in receipt["replicas"]}
        assert statuses.pop(victim["id"]) == "silent"
        assert set(statuses.values()) == {"converged"}
        revision = client.get(ADMIN).json()["revision"]
    finally:
        os.kill(victim["pid"], signal.SIGCONT)
    assert other != victim["pid"]
    wait_until(lambda: revision_of(client, victim["id"]) == revision)
    assert converged_rollback(client, 301)["converged"]
    assert serving_now(client) == {client.get(ADMIN).json()["revision"]}


def test_a_killed_worker_is_not_waited_for(client: httpx.Client) -> None:
    answering = client.get("/health/detailed").json()["replica"]["id"]
    victim = next(each for each in replicas(client) if each["id"] != answering)
    os.kill(victim["pid"], signal.SIGKILL)
    wait_until(lambda: victim["id"] not in {each["id"] for each in replicas(client)}, within_s=10)
    wait_until(lambda: len(replicas(client)) == WORKERS)
    assert len(converged_rollback(client, 400)["replicas"]) == WORKERS


def test_two_workers_on_sqlite_converge_within_a_poll_or_three(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    url = sqlite_template.fresh()
    with serve(url, tmp_path, workers=2) as server, server.client() as client:
        set_up(client)
        wait_until(lambda: len(replicas(client)) == 2)
        receipts = [converged_rollback(client, number) for number in range(15)]
        assert {len(each["replicas"]) for each in receipts} == {2}
        assert statistics.median(each["waited_ms"] for each in receipts) < 300
        server.stop()
    assert by_hand(url, "select * from replicas") == [], "rows of workers that end go with them"


def rollback(client: httpx.Client, number: int) -> dict[str, Any]:
    """Change the config and take that back; the answer to the rollback."""
    before = client.get(ADMIN).json()["revision"]
    client.put(f"{ADMIN}/config", json={"weights": {"pop": 1_000 + number}}).raise_for_status()
    answer: dict[str, Any] = client.post(f"{ADMIN}/rollback", json={"revision": before}).raise_for_status().json()
    assert answer["changed"]
    return answer


def converged_rollback(client: httpx.Client, number: int) -> dict[str, Any]:
    receipt: dict[str, Any] = rollback(client, number)["receipt"]
    assert receipt["converged"], receipt
    return receipt


def replicas(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/admin/replicas").raise_for_status().json()["replicas"]
    return found


def revision_of(client: httpx.Client, replica_id: str) -> int | None:
    """The revision that a replica tells of for the only tenant."""
    tenants = next(each for each in replicas(client) if each["id"] == replica_id)["tenants"]
    return next((said["revision"] for said in tenants.values()), None)


def serving_now(client: httpx.Client, asking: int = 12) -> set[int]:
    """The revisions that a row of answers name, each on a connection of its own (so from any worker)."""
    seen = set()
    for _ in range(asking):
        with httpx.Client(base_url=client.base_url, headers=client.headers) as fresh:
            seen.add(fresh.post("/v1/recommend", json=RECOMMEND).raise_for_status().json()["meta"]["revision"])
    return seen


def feeds(url: str) -> set[int]:
    return {row[0] for row in by_hand(url, f"select pid from pg_stat_activity where {FEED}")}


def wait_until(holds: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
