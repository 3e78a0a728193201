"""The service under measurement: databases, a running ``recsys serve``, and a tenant made through the public API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx

from bench.synthetic import CONFIG, rules
from tests.support.databases import SqliteTemplate, postgres_server
from tests.support.server import Server

DEVELOPER = {"X-Dev-User-Id": "bench"}
ADMIN = "/v1/admin/tenants"


@contextmanager
def directory() -> Iterator[Path]:
    """A place for databases and logs, gone afterwards."""
    with TemporaryDirectory(prefix="recsys-bench-") as path:
        yield Path(path)


@contextmanager
def databases(path: Path) -> Iterator[dict[str, Callable[[], str]]]:
    """What makes a fresh, migrated database of each kind."""
    with postgres_server() as postgres:
        yield {"SQLite": SqliteTemplate(path).fresh, "PostgreSQL": postgres.fresh}


def port_of(server: Server) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def developer(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=DEVELOPER, timeout=300, trust_env=False)


def make_tenant(client: httpx.Client, tenant: str) -> dict[str, str]:
    """Create a tenant and a serving key; the headers that serve it."""
    client.post(ADMIN, json={"external_id": tenant}).raise_for_status()
    made = client.post(f"{ADMIN}/{tenant}/api-keys", json={"name": "bench", "role": "serving"}).raise_for_status()
    return {"x-api-key": made.json()["key"]}


def put_documents(client: httpx.Client, tenant: str) -> None:
    """Config and rules."""
    documents: dict[str, Any] = {"config": CONFIG, "rules": rules()}
    for name, document in documents.items():
        client.put(f"{ADMIN}/{tenant}/{name}", json=document).raise_for_status()
