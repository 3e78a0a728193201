"""Who may do what: the role table, foreign tenants, keys, and developers' headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys.domain.access import Principal, Role
from recsys.service.app import build_app
from recsys.service.authentication import Authenticator
from tests.http.conftest import ITEMS, ROLES, Api, assert_problem, build, recommend_body

TENANT = "/v1/admin/tenants/demo"
NDJSON = {"Content-Type": "application/x-ndjson"}
EVERYONE = frozenset(ROLES)
OF_TENANT = EVERYONE - {"platform"}
READERS = EVERYONE - {"serving"}
RESPONDERS = OF_TENANT - {"serving", "viewer"}
OPERATORS = RESPONDERS - {"responder"}

ENDPOINTS: dict[str, tuple[str, str, dict[str, Any], frozenset[str]]] = {
    "recommend": ("POST", "/v1/recommend", {"json": recommend_body()}, OF_TENANT),
    "validate": ("POST", "/v1/recommend/validate", {"json": recommend_body()}, OF_TENANT),
    "similar": ("POST", "/v1/similar", {"json": {"surface": "home", "item_id": "i1"}}, OF_TENANT),
    "events": ("POST", "/v1/events", {"json": {"events": [{}]}}, OF_TENANT),
    "explain summary": ("POST", "/v1/recommend", {"json": recommend_body(options={"explain": "summary"})}, OF_TENANT),
    "explain full": ("POST", "/v1/recommend", {"json": recommend_body(options={"explain": "full"})}, RESPONDERS),
    "trace": ("POST", "/v1/recommend", {"json": recommend_body(options={"include_trace": True})}, RESPONDERS),
    "explain item": ("POST", "/v1/recommend", {"json": recommend_body(options={"explain_item": "i1"})}, RESPONDERS),
    "trace similar": (
        "POST", "/v1/similar", {"json": {"surface": "home", "item_id": "i1", "options": {"include_trace": True}}},
        RESPONDERS,
    ),
    "read config": ("GET", f"{TENANT}/config", {}, READERS),
    "read versions": ("GET", f"{TENANT}/config/versions", {}, READERS),
    "read history": ("GET", f"{TENANT}/history", {}, READERS),
    "read audit": ("GET", f"{TENANT}/audit", {}, READERS),
    "read tenant": ("GET", TENANT, {}, READERS),
    "list tenants": ("GET", "/v1/admin/tenants", {}, READERS),
    "roll back": ("POST", f"{TENANT}/config/rollback", {"json": {"revision": 1}}, RESPONDERS),
    "roll back all": ("POST", f"{TENANT}/rollback", {"json": {"revision": 1}}, RESPONDERS),
    "label": ("PUT", f"{TENANT}/history/1/labels/known_good", {}, RESPONDERS),
    "invalidate": ("POST", f"{TENANT}/cache/invalidate", {"json": {"targets": ["config"]}}, RESPONDERS),
    "change config": ("PUT", f"{TENANT}/config", {"json": {}}, OPERATORS),
    "change rules": ("PUT", f"{TENANT}/rules", {"json": []}, OPERATORS),
    "load": ("PUT", f"{TENANT}/items?surface=home", {"content": ITEMS, "headers": NDJSON}, OPERATORS),
    "freeze": ("PATCH", TENANT, {"json": {"frozen": False}}, OPERATORS),
    "suspend": ("PATCH", TENANT, {"json": {"status": "active"}}, frozenset({"platform"})),
    "suspend and freeze": ("PATCH", TENANT, {"json": {"status": "active", "frozen": False}}, frozenset()),
    "list keys": ("GET", f"{TENANT}/api-keys", {}, frozenset({"admin", "platform"})),
    "create key": (
        "POST", f"{TENANT}/api-keys", {"json": {"name": "k", "role": "viewer"}}, frozenset({"admin", "platform"}),
    ),
    "list platform keys": ("GET", "/v1/admin/api-keys", {}, frozenset({"platform"})),
    "create platform key": ("POST", "/v1/admin/api-keys", {"json": {"name": "k"}}, frozenset({"platform"})),
    "create tenant": ("POST", "/v1/admin/tenants", {"json": {"external_id": "other"}}, frozenset({"platform"})),
    "healthz": ("GET", "/healthz", {}, EVERYONE),
}  # fmt: skip


async def test_the_role_table(api: Api, loaded: httpx.AsyncClient, keys: dict[str, str]) -> None:
    await loaded.put(f"{TENANT}/config", json={})
    wrong = []
    for role in ROLES:
        for name, (method, path, content, allowed) in ENDPOINTS.items():
            async with api.client(**{"X-API-Key": keys[role]}) as client:
                answer = await client.request(method, path, **content)
            if role in allowed and answer.status_code >= 300:
                wrong.append(f"{role} may not {name}: {answer.text}")
            if role not in allowed:
                if answer.status_code != 403:
                    wrong.append(f"{role} may {name}: {answer.status_code} {answer.text}")
                else:
                    assert_problem(answer, 403, "RECSYS_FORBIDDEN")
    assert not wrong, "\n".join(wrong)


async def test_a_foreign_tenant_answers_like_one_that_does_not_exist(
    api: Api, dev: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    other = (await dev.post("/v1/admin/tenants", json={"external_id": "other"})).json()
    await dev.put("/v1/admin/tenants/other/config", json={})
    headers = {"X-API-Key": keys["admin"], "X-Request-Id": "r"}
    async with api.client(**headers) as client:
        for method, path, body in (
            ("GET", "", None),
            ("GET", "/config", None),
            ("PUT", "/config", {}),
            ("PUT", "/manifests/a%20b", {}),
            ("GET", "/audit?limit=0", None),
            ("POST", "/rollback", {"nonsense": 1}),
            ("GET", "/api-keys", None),
            ("PATCH", "", {"frozen": True}),
        ):
            answers = [
                await client.request(method, f"/v1/admin/tenants/{reference}{path}", json=body)
                for reference in ("other", other["id"], other["id"].upper(), "nowhere", "0" * 8 + other["id"][8:])
            ]
            if "limit=0" not in path:
                assert_problem(answers[0], 404, "RECSYS_TENANT_NOT_FOUND")
            assert len({(answer.status_code, answer.content) for answer in answers}) == 1, (method, path)
        tenants = (await client.get("/v1/admin/tenants")).json()["tenants"]
    assert [tenant["external_id"] for tenant in tenants] == ["demo"]


async def test_keys_in_both_headers_until_revoked(api: Api, loaded: httpx.AsyncClient, keys: dict[str, str]) -> None:
    key = keys["viewer"]
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer {key}"}):
        async with api.client(**headers) as client:
            assert (await client.post("/v1/recommend", json=recommend_body())).status_code == 200
            assert (await client.get(TENANT)).status_code == 200
    listed = (await loaded.get(f"{TENANT}/api-keys")).json()["api_keys"]
    viewer = next(each for each in listed if each["role"] == "viewer")
    assert key not in str(listed)
    assert (await loaded.delete(f"{TENANT}/api-keys/{viewer['id']}")).status_code == 204
    async with api.client(**{"X-API-Key": key}) as client:
        for answer in (await client.post("/v1/recommend", json=recommend_body()), await client.get(TENANT)):
            assert_problem(answer, 401, "RECSYS_UNAUTHENTICATED")
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "rsk_wrong"}, {"X-API-Key": ""}, {"Authorization": "Basic eDp5"}]
)
async def test_without_a_valid_key(api: Api, dev: httpx.AsyncClient, headers: dict[str, str]) -> None:
    async with api.client(**headers) as client:
        assert_problem(await client.post("/v1/recommend", json=recommend_body()), 401, "RECSYS_UNAUTHENTICATED")
        assert_problem(await client.get(TENANT), 401, "RECSYS_UNAUTHENTICATED")
        assert_problem(await client.put(f"{TENANT}/config", content=b"nonsense"), 401, "RECSYS_UNAUTHENTICATED")


async def test_developers_headers_count_only_where_they_are_allowed(database_file: Path) -> None:
    api = build(database_file, dev_auth=False)
    async with api.service.running(), api.client(**{"X-Dev-User-Id": "dev"}) as client:
        assert_problem(await client.get("/v1/admin/tenants"), 401, "RECSYS_UNAUTHENTICATED")


async def test_developers_choose_tenant_and_roles(api: Api, loaded: httpx.AsyncClient) -> None:
    other = (await loaded.post("/v1/admin/tenants", json={"external_id": "other"})).json()["id"]
    body = recommend_body()

    async def ask(path: str, **headers: str) -> httpx.Response:
        async with api.client(**{"X-Dev-User-Id": "ada", **headers}) as client:
            return await client.post(path, json=body)

    assert (await ask("/v1/recommend", **{"X-Org-Id": other})).json()["meta"]["tenant_id"] == other
    assert (await ask("/v1/recommend", **{"X-Dev-Org-Id": "demo"})).status_code == 200
    assert_problem(await ask("/v1/recommend"), 400, "RECSYS_INVALID_REQUEST")
    assert_problem(await ask("/v1/recommend", **{"X-Org-Id": "nowhere"}), 404, "RECSYS_TENANT_NOT_FOUND")
    foreign = {"X-Dev-Org-Id": "demo", "X-Org-Id": "other", "X-Dev-Roles": "admin"}
    assert_problem(await ask("/v1/recommend", **foreign), 404, "RECSYS_TENANT_NOT_FOUND")
    assert_problem(await ask("/v1/recommend", **{"X-Dev-Roles": "king"}), 400, "RECSYS_INVALID_REQUEST")
    limited = {"X-Dev-Roles": "viewer", "X-Dev-Org-Id": "demo"}
    assert_problem(await ask(f"{TENANT}/rollback", **limited), 403, "RECSYS_FORBIDDEN")


async def test_a_tenant_s_key_cannot_choose_another_tenant(
    api: Api, loaded: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    other = (await loaded.post("/v1/admin/tenants", json={"external_id": "other"})).json()["id"]
    async with api.client(**{"X-API-Key": keys["admin"], "X-Org-Id": other, "X-Dev-User-Id": "x"}) as client:
        answer = await client.post("/v1/recommend", json=recommend_body())
    assert_problem(answer, 404, "RECSYS_TENANT_NOT_FOUND")


async def test_tenant_keys_have_no_platform_role(dev: httpx.AsyncClient) -> None:
    answer = await dev.post(f"{TENANT}/api-keys", json={"name": "k", "role": "platform"})
    assert_problem(answer, 400, "RECSYS_INVALID_REQUEST")


async def test_a_suspended_tenant_is_not_served(loaded: httpx.AsyncClient) -> None:
    assert (await loaded.patch(TENANT, json={"status": "suspended"})).json()["status"] == "suspended"
    refused = assert_problem(await loaded.post("/v1/recommend", json=recommend_body()), 403, "RECSYS_FORBIDDEN")
    assert refused["tenant_status"] == "suspended"
    assert (await loaded.get(TENANT)).status_code == 200
    await loaded.patch(TENANT, json={"status": "active"})
    assert (await loaded.post("/v1/recommend", json=recommend_body())).status_code == 200


async def test_the_command_line_works_in_process_as_itself(api: Api, dev: httpx.AsyncClient) -> None:
    principal = Principal(sub="cli:ada", actor_type="cli", roles=frozenset({Role.ADMIN, Role.PLATFORM}))
    authenticator = Authenticator(api.service.replica, fixed=principal)
    service = type(api.service)(**{**vars(api.service), "authenticator": authenticator})
    transport = httpx.ASGITransport(build_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://recsys") as client:
        await client.put(f"{TENANT}/config", json={})
        assert (await client.post("/v1/recommend", json=recommend_body(), headers={"X-Org-Id": "demo"})).is_success
    entry = (await dev.get(f"{TENANT}/history")).json()["entries"][0]
    assert (entry["actor_sub"], entry["actor_type"]) == ("cli:ada", "cli")


async def test_tenants_page_by_page(dev: httpx.AsyncClient) -> None:
    for name in ("b", "a", "C"):
        await dev.post("/v1/admin/tenants", json={"external_id": name})
    page = (await dev.get("/v1/admin/tenants?limit=3")).json()
    assert [tenant["external_id"] for tenant in page["tenants"]] == ["C", "a", "b"]
    rest = (await dev.get(f"/v1/admin/tenants?limit=3&after={page['next_after']}")).json()
    assert [tenant["external_id"] for tenant in rest["tenants"]] == ["demo"]
    assert rest["next_after"] is None


async def test_a_tenant_as_answered(dev: httpx.AsyncClient) -> None:
    tenant = (await dev.get(TENANT)).json()
    assert tenant.keys() == {
        "id", "external_id", "name", "status", "frozen", "require_if_match", "revision", "data_revision", "created_at",
    }  # fmt: skip
    assert (await dev.get(f"/v1/admin/tenants/{tenant['id']}")).json() == tenant
    taken = await dev.post("/v1/admin/tenants", json={"external_id": "demo"})
    assert_problem(taken, 422, "RECSYS_UNPROCESSABLE_ENTITY")
