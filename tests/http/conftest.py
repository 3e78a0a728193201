"""A real service on a real SQLite file, spoken to in-process."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys.bootstrap.settings import Settings
from recsys.bootstrap.wiring import build_service
from recsys.service.app import build_app
from recsys.service.state import Service
from tests.support.databases import migrate

DEVELOPER = {"X-Dev-User-Id": "dev", "X-Org-Id": "demo"}
ROLES = ("serving", "viewer", "responder", "operator", "admin", "platform")

ITEMS = "\n".join(
    f'{{"item_id": "i{n}", "title": "Item {n}", "tags": ["t{n % 3}"], "brand": "b{n % 2}", "price": {n}}}'
    for n in range(30)
)
POPULARITY = "\n".join(f'{{"item_id": "i{n}", "day": "2025-01-01", "score": {100 - n}}}' for n in range(30))


@dataclass
class Api:
    """The service, its application and what they were made from."""

    service: Service
    app: Any
    database_file: Path

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True, client=("10.1.2.3", 4711))
        return httpx.AsyncClient(transport=transport, base_url="http://recsys", headers=headers)


def build(database_file: Path, **settings: Any) -> Api:
    service = build_service(Settings(**{"db": f"sqlite:///{database_file}", "dev_auth": True, **settings}))
    return Api(service, build_app(service), database_file)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without content: copying it is quicker than migrating again."""
    path = tmp_path_factory.mktemp("template") / "recsys.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database_file(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(template, tmp_path / "recsys.db"))


@pytest.fixture
async def api(database_file: Path) -> AsyncIterator[Api]:
    api = build(database_file)
    async with api.service.running():
        yield api


@pytest.fixture
async def dev(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A developer who may do everything, with a tenant ``demo``."""
    async with api.client(**DEVELOPER) as client:
        created = await client.post("/v1/admin/tenants", json={"external_id": "demo", "name": "Demo"})
        assert created.status_code == 201, created.text
        yield client


@pytest.fixture
async def loaded(dev: httpx.AsyncClient) -> httpx.AsyncClient:
    """The developer, with items and popularity on the surface ``home``."""
    for path, rows in (("items", ITEMS), ("signals/popularity", POPULARITY)):
        answer = await load(dev, f"/v1/admin/tenants/demo/{path}?surface=home", rows)
        assert answer.status_code == 200, answer.text
    return dev


@pytest.fixture
async def keys(dev: httpx.AsyncClient) -> dict[str, str]:
    """A key of every role."""
    made = {}
    for role in ROLES:
        path = "/v1/admin/api-keys" if role == "platform" else "/v1/admin/tenants/demo/api-keys"
        answer = await dev.post(path, json={"name": f"the {role}", "role": role})
        assert answer.status_code == 201, answer.text
        made[role] = answer.json()["key"]
    return made


async def load(client: httpx.AsyncClient, path: str, rows: str, content_type: str = "application/x-ndjson") -> Any:
    return await client.put(path, content=rows.encode(), headers={"Content-Type": content_type})


def recommend_body(**changes: Any) -> dict[str, Any]:
    return {"surface": "home", "user": {"user_id": "u1"}, **changes}


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail"} <= problem.keys()
    return problem
