"""Health, metrics, and the documentation that is made of the code."""

from __future__ import annotations

import re

import httpx
import pytest

from recsys.service.app import build_app
from tests.http.conftest import Api, recommend_body

TENANT = "/v1/admin/tenants/demo"


async def test_health_needs_no_key(api: Api, loaded: httpx.AsyncClient, keys: dict[str, str]) -> None:
    await loaded.put(f"{TENANT}/config", json={})
    async with api.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).status_code == 200
        answer = await client.get("/health/detailed")
    health = answer.json()
    assert (health["status"], health["database"]) == ("ok", {"reachable": True})
    (tenant,) = health["replica"]["tenants"].values()
    assert (tenant["revision"], tenant["incompatible"]) == (1, None)
    assert not any(key in answer.text for key in keys.values())


async def test_a_service_is_not_ready_before_its_first_sync(api: Api) -> None:
    api.service.replica.synced = False
    async with api.client() as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.post("/v1/recommend", headers={"X-API-Key": "rsk_x"})).status_code == 503


async def test_metrics_count_what_happened(loaded: httpx.AsyncClient) -> None:
    tenant_id = (await loaded.get(TENANT)).json()["id"]
    await loaded.put(f"{TENANT}/config", json={})
    await loaded.put(f"{TENANT}/config", json={"flags": {}}, headers={"If-Match": "0" * 64})
    for k in (1, 200):
        await loaded.post("/v1/recommend", json=recommend_body(k=k))
    await loaded.post("/v1/recommend", json=recommend_body(surface="void"))
    await loaded.post("/v1/recommend", content=b"nonsense")
    await loaded.get("/nowhere/at/all")
    text = (await loaded.get("/metrics")).text
    for line in (
        'recsys_requests_total{endpoint="POST /v1/recommend",status="200"} 3.0',
        'recsys_requests_total{endpoint="POST /v1/recommend",status="400"} 1.0',
        'recsys_requests_total{endpoint="unmatched",status="404"} 1.0',
        'recsys_requests_total{endpoint="GET /v1/admin/tenants/{tenant_id}",status="200"} 1.0',
        'recsys_request_duration_seconds_count{endpoint="POST /v1/recommend"} 4.0',
        f'recsys_short_answers_total{{tenant="{tenant_id}"}} 1.0',
        f'recsys_empty_answers_total{{tenant="{tenant_id}"}} 1.0',
        'recsys_answer_warnings_total{code="SIGNAL_UNAVAILABLE"}',
        f'recsys_revision{{tenant="{tenant_id}",worker="0"}} 1.0',
        f'recsys_data_revision{{tenant="{tenant_id}",worker="0"}} 2.0',
        'recsys_control_plane_staleness_seconds{worker="0"} 0.',
        "recsys_version_mismatches_total 1.0",
    ):
        assert line in text, text


async def test_the_description_holds_every_route_and_hot_path(api: Api) -> None:
    async with api.client() as client:
        document = (await client.get("/openapi.json")).json()
        page = await client.get("/docs")
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {"/v1/recommend", "/v1/recommend/validate", "/v1/similar", "/metrics"} <= paths.keys()
    body = paths["/v1/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/RecommendRequest"}
    config = document["components"]["schemas"]["ConfigDocumentAnswer"]["properties"]
    assert {"config", "config_version", "revision"} <= config.keys()
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/recommend/validate" in page.text
    assert not re.search(r"(src|href)=.?(https?:)?//", page.text), "the page loads something from elsewhere"


async def test_every_reference_in_the_description_leads_somewhere(api: Api) -> None:
    async with api.client() as client:
        answer = await client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert named <= schemas.keys()
    assert not {name for name in schemas if not re.fullmatch(r"[A-Za-z]+", name)}


async def test_rules_are_described_in_both_forms(api: Api) -> None:
    async with api.client() as client:
        operation = (await client.get("/openapi.json")).json()["paths"]["/v1/admin/tenants/{tenant_id}/rules"]["put"]
    forms = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert forms == [
        {"type": "array", "items": {"$ref": "#/components/schemas/Rule"}},
        {"$ref": "#/components/schemas/RulesEnvelope"},
    ]


@pytest.mark.parametrize("path", ["/v1/admin/tenants/{tenant_id}/rules", "/v1/admin/tenants/{tenant_id}/items"])
async def test_operations_describe_parameters_bodies_and_problems(api: Api, path: str) -> None:
    async with api.client() as client:
        operation = (await client.get("/openapi.json")).json()["paths"][path]["put"]
    assert {"tenant_id", "X-Change-Reason"} <= {each["name"] for each in operation["parameters"]}
    assert operation["requestBody"]["content"]
    assert "application/problem+json" in operation["responses"]["default"]["content"]


async def test_a_load_is_described_by_the_rows_it_takes(api: Api) -> None:
    async with api.client() as client:
        document = (await client.get("/openapi.json")).json()
    schemas, loads = document["components"]["schemas"], ("items", "signals/{signal}")
    described = [document["paths"][f"/v1/admin/tenants/{{tenant_id}}/{load}"]["put"]["requestBody"] for load in loads]
    named = [re.findall(r"`(\w+)`", each["description"]) for each in described]
    assert named == [["Item"], ["Popularity", "Covisit"]]
    assert "neighbor_id" in schemas["Covisit"]["properties"]
    assert "created_at" in schemas["Item"]["properties"]


async def test_invalidation(loaded: httpx.AsyncClient) -> None:
    await loaded.put(f"{TENANT}/config", json={})
    wish = {"targets": ["config", "popularity", "config"], "surface": "home"}
    answer = (await loaded.post(f"{TENANT}/cache/invalidate", json=wish)).json()
    assert answer.keys() == {"event_id", "status", "targets", "surface", "invalidated", "receipt"}
    assert (answer["targets"], answer["surface"]) == (["config", "popularity"], "home")
    assert answer["invalidated"]["config"] == 1
    wrong = await loaded.post(f"{TENANT}/cache/invalidate", json={"targets": ["rule"]})
    assert wrong.json()["errors"][0]["did_you_mean"] == "rules"


async def test_the_lifespan_starts_and_stops_the_replica(api: Api) -> None:
    """A server speaks ASGI's lifespan protocol; in-process clients use Service.running instead."""
    sent: list[str] = []
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    app = build_app(api.service)
    await api.service.replica.stop()
    await app({"type": "lifespan", "state": {}, "app": app}, receive, send)  # type: ignore[arg-type]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
