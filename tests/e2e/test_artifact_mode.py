"""Artifacts through real workers: published, gone back from, damaged, and without their store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from recsys.domain.manifest import ArtifactKind
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from tests.support.artifacts import Artifact
from tests.support.server import Server, serve

TENANT = "/v1/admin/tenants/demo"
MANIFEST = f"{TENANT}/manifests/home"
WORKERS = 2
ITEMS = 600


def signals(number: int) -> list[Artifact]:
    """What one run of a pipeline makes; another number, another order of the items."""
    names = [f"i{n:04}" for n in range(ITEMS)]
    pairs = [(n, (n + step + number) % ITEMS) for n in range(ITEMS) for step in (1, 7, 30)]
    unknown = {"title": "", "tags": [], "price": 1.0, "created_at": 0, "attributes": ""}
    return [
        Artifact(
            "popularity", [{"item_id": name, "score": 1.0 + (n * (7 + number)) % 97} for n, name in enumerate(names)]
        ),
        Artifact("cooc", [{"item_id": names[a], "neighbor_id": names[b], "score": 1.0 + a % 5} for a, b in pairs]),
        Artifact("catalog", [{"item_id": name} | unknown for name in names]),
    ]


class Shop:
    """A tenant of a running service, and the directory that its artifacts are in."""

    def __init__(self, client: httpx.Client, store: Path) -> None:
        self.client = client
        self.store = store
        client.post("/v1/admin/tenants", json={"external_id": "demo"})
        self.tenant_id = client.get(TENANT).json()["id"]

    def publish(self, *artifacts: Artifact) -> Any:
        blobs = LocalBlobStore(self.store, Marks(None), max_bytes=100_000_000)
        current: dict[ArtifactKind, str] = {}
        for each in artifacts:
            asyncio.run(each.store(blobs, self.tenant_id))
            current[each.kind] = each.uri
        document = {"v": 1, "tenant": "demo", "surface": "home", "current": current}
        return self.settled("PUT", f"{MANIFEST}?wait=converged", document)

    def roll_back(self, version: str) -> Any:
        return self.settled("POST", f"{MANIFEST}/rollback", {"to": version})["receipt"]

    def settled(self, method: str, path: str, wish: dict[str, Any], patience_s: float = 20) -> Any:
        """The answer whose receipt says of every replica how it ended: on a busy machine that is not the first one."""
        deadline = time.monotonic() + patience_s
        while True:
            answer = self.client.request(method, path, json=wish)
            assert answer.status_code == 200, answer.text
            done = answer.json()
            if "behind" not in {each["status"] for each in done["receipt"]["replicas"]}:
                return done
            assert time.monotonic() < deadline, done["receipt"]

    def answers(self) -> set[tuple[str, str]]:
        """The items that many connections get, whichever worker takes them, and the manifest that they come from."""
        body = {"surface": "home", "user": {"user_id": "u"}, "anchors": {"item_ids": ["i0003", "i0500"]}}
        found = set()
        for _ in range(12):
            answer = self.client.post("/v1/recommend", json=body, headers={"Connection": "close"})
            items = answer.text.partition('"meta":')[0]
            found.add((items, answer.json()["meta"]["manifest_version"]))
        return found

    def path(self, artifact: Artifact) -> Path:
        return self.store / artifact.at(self.tenant_id).blob


@contextmanager
def running(database_url: str, directory: Path) -> Iterator[tuple[Server, httpx.Client]]:
    """The service with two workers, both of which have told that they are there."""
    with (
        serve(database_url, directory, workers=WORKERS, artifacts=directory / "store") as server,
        server.client() as client,
    ):
        wait_until(lambda: len(client.get("/v1/admin/replicas").json()["replicas"]) == WORKERS)
        yield server, client


def wait_until(fulfilled: Callable[[], bool], patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not fulfilled():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_published_gone_back_from_damaged_and_without_its_store(database_url: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running(database_url, tmp_path) as (_, client):
        shop = Shop(client, store)
        first = shop.publish(*signals(1))
        assert first["receipt"]["converged"], first["receipt"]
        assert len(first["receipt"]["replicas"]) == WORKERS
        (earlier,) = shop.answers()
        assert earlier[1] == first["manifest_version"]

        second = shop.publish(*signals(2))
        assert second["receipt"]["converged"], second["receipt"]
        (later,) = shop.answers()
        assert later[1] == second["manifest_version"]
        assert later[0] != earlier[0]

        receipt = shop.roll_back(first["manifest_version"])
        assert receipt["converged"], receipt
        assert shop.answers() == {earlier}, "byte for byte what was answered before"

        for number in (3, 4):
            shop.publish(*signals(number))
        newest = shop.publish(*signals(5))  # by now the host keeps nothing of the first
        (good,) = shop.answers()
        bad = signals(1)[0]
        shop.path(bad).write_bytes(bad.content[:-1] + b"!")
        receipt = shop.roll_back(first["manifest_version"])
        assert not receipt["converged"]
        assert {(each["status"], each["incompatible"]) for each in receipt["replicas"]} == {
            ("incompatible", "manifest/home")
        }
        assert shop.answers() == {good}
        assert good[1] == newest["manifest_version"]
        status = client.get(f"{TENANT}/status").json()
        assert status["incompatible"] == "manifest/home"
        assert status["surfaces"]["home"]["manifest_version"] == first["manifest_version"]
        assert status["surfaces"]["home"]["served"]["manifest_version"] == newest["manifest_version"]

        assert shop.roll_back(newest["manifest_version"])["converged"]
        assert client.get(f"{TENANT}/status").json()["incompatible"] is None

    store.rename(tmp_path / "elsewhere")
    with running(database_url, tmp_path) as (_, client):
        assert Shop(client, store).answers() == {good}


def test_a_start_finds_a_damaged_artifact_and_serves_what_this_host_had_before(
    database_url: str, tmp_path: Path
) -> None:
    store, cache = tmp_path / "store", tmp_path / "recsys-cache"
    with running(database_url, tmp_path) as (_, client):
        shop = Shop(client, store)
        shop.publish(*signals(1))
        (before,) = shop.answers()
        kept = set(cache.rglob("*.signals"))
        shop.publish(*signals(2))
    for made in set(cache.rglob("*.signals")) - kept:
        made.unlink()
    shop.path(signals(2)[1]).write_bytes(b"nonsense")

    with running(database_url, tmp_path) as (server, client):
        assert Shop(client, store).answers() == {before}
        assert client.get("/health/detailed").json()["replica"]["tenants"][shop.tenant_id]["incompatible"]
        assert "cooc sha256:" in server.log.read_text()
