"""A running service with a tenant that has items, signals, config and rules."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import Server, serve

CONFIG = {"weights": {"pop": 1, "cooc": 0.5, "emb": 0.2}}
RULES = [{"id": "lift-b", "action": "boost", "target_type": "tag", "target_key": "b", "boost_value": 0.5}]
RECOMMEND = {"surface": "home", "k": 5, "user": {"user_id": "u1"}}


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    with serve(database_url, tmp_path, workers=2) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        set_up(client)
        yield client


def set_up(client: httpx.Client) -> None:
    client.post("/v1/admin/tenants", json={"external_id": "demo"}).raise_for_status()
    items = [{"item_id": f"i{n}", "tags": ["a" if n % 2 else "b"], "price": float(n)} for n in range(20)]
    popularity = [{"item_id": f"i{n}", "day": "2026-01-01", "score": n} for n in range(20)]
    for path, rows in (("items", items), ("signals/popularity", popularity)):
        body = "\n".join(json.dumps(row) for row in rows)
        client.put(
            f"/v1/admin/tenants/demo/{path}?surface=home",
            content=body,
            headers={"Content-Type": "application/x-ndjson"},
        ).raise_for_status()
    client.put("/v1/admin/tenants/demo/config", json=CONFIG).raise_for_status()
    last = client.put("/v1/admin/tenants/demo/rules", json=RULES).raise_for_status().json()
    wait_for_every_worker(client, last["rules_version"])


def wait_for_every_worker(client: httpx.Client, rules_version: str) -> None:
    """Return when a row of answers, each on a connection of its own (so on any worker), names the version."""
    good = 0
    while good < 12:
        with httpx.Client(base_url=client.base_url, headers=client.headers) as fresh:
            answer = fresh.post("/v1/recommend", json=RECOMMEND)
        good = good + 1 if answer.json().get("meta", {}).get("rules_version") == rules_version else 0
