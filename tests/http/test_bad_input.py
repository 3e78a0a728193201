"""Every bad input has one status and one code, and names what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.http.conftest import Api, assert_problem, recommend_body

INVALID, UNPROCESSABLE = "RECSYS_INVALID_REQUEST", "RECSYS_UNPROCESSABLE_ENTITY"
TENANT = "/v1/admin/tenants/demo"
CONFIG, RULES = f"{TENANT}/config", f"{TENANT}/rules"
HOT = ("/v1/recommend", "/v1/recommend/validate", "/v1/similar", "/v1/events")

BODIES: dict[str, tuple[bytes, int, str, str]] = {
    "not JSON": (b"surface=home", 400, INVALID, ""),
    "empty": (b"", 400, INVALID, ""),
    "cut short": (b'{"surface": "home"', 400, INVALID, ""),
    "an array": (b"[]", 400, INVALID, ""),
    "wrong type": (b'{"surface": 5, "user": {"user_id": "u"}}', 400, INVALID, "/surface"),
    "missing surface": (b'{"user": {"user_id": "u"}}', 400, INVALID, "/surface"),
    "path in the surface": (b'{"surface": "../etc", "user": {"user_id": "u"}}', 400, INVALID, "/surface"),
    "no user": (b'{"surface": "home"}', 422, UNPROCESSABLE, "/user"),
    "empty user": (b'{"surface": "home", "user": {}}', 422, UNPROCESSABLE, "/user"),
    "k = 0": (b'{"surface": "home", "k": 0, "user": {"user_id": "u"}}', 400, INVALID, "/k"),
    "k = 201": (b'{"surface": "home", "k": 201, "user": {"user_id": "u"}}', 400, INVALID, "/k"),
    "k in words": (b'{"surface": "home", "k": "ten", "user": {"user_id": "u"}}', 400, INVALID, "/k"),
    "k as digits": (b'{"surface": "home", "k": "10", "user": {"user_id": "u"}}', 400, INVALID, "/k"),
    "k = 10^30": (b'{"surface": "home", "k": 1' + b"0" * 30 + b', "user": {"user_id": "u"}}', 400, INVALID, "/k"),
    "k = 1e30": (b'{"surface": "home", "k": 1e30, "user": {"user_id": "u"}}', 400, INVALID, "/k"),
    "k with 100,000 digits": (b'{"surface": "home", "k": ' + b"9" * 100_000 + b"}", 400, INVALID, "/k"),
    "k is NaN": (b'{"surface": "home", "k": NaN, "user": {"user_id": "u"}}', 400, INVALID, ""),
    "negative weight": (
        b'{"surface": "home", "user": {"user_id": "u"}, "weights": {"pop": -1}}', 422, UNPROCESSABLE, "/weights/pop",
    ),
    "empty price range": (
        b'{"surface": "home", "user": {"user_id": "u"}, "constraints": {"price_min": 2, "price_max": 1}}',
        422, UNPROCESSABLE, "/constraints/price_min",
    ),
    "NUL": (b'{"surface": "home", "user": {"user_id": "a\\u0000b"}}', 400, INVALID, "/user/user_id"),
    "raw NUL": (b'{"surface": "home", "user": {"user_id": "a\x00b"}}', 400, INVALID, ""),
    "lone surrogate": (b'{"surface": "home", "user": {"user_id": "\\ud800"}}', 400, INVALID, "/user/user_id"),
    "lone surrogate in a key": (b'{"surface": "home", "\\ud800": 1}', 400, INVALID, ""),
    "lone surrogate in a key, twice": (b'{"surface": "home", "\\ud800": 1, "\\ud800": 2}', 400, INVALID, ""),
    "surrogate as bytes": (b'{"surface": "home", "user": {"user_id": "\xed\xa0\x80"}}', 400, INVALID, ""),
    "invalid UTF-8": (b'{"surface": "home", "user": {"user_id": "\xff"}}', 400, INVALID, ""),
    "a key twice": (b'{"surface": "home", "surface": "home", "user": {"user_id": "u"}}', 400, INVALID, "/surface"),
    "a key twice, once escaped": (b'{"surface": "a", "surfac\\u0065": "b", "user": {"user_id": "u"}}', 400, INVALID, "/surface"),
    "100,000 brackets": (b"[" * 100_000 + b"]" * 100_000, 400, INVALID, ""),
    "100,000 brackets in a field": (b'{"surface": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, INVALID, ""),
    "100,000 braces": (b'{"a":' * 100_000, 400, INVALID, ""),
    "naive time": (b'{"surface": "home", "user": {"user_id": "u"}, "context": {"now": "2025-01-01T00:00:00"}}', 400, INVALID, "/context/now"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_bad_bodies_of_recommend(loaded: httpx.AsyncClient, name: str) -> None:
    body, status, code, pointer = BODIES[name]
    for path in HOT[:2]:
        problem = assert_problem(await loaded.post(path, content=body), status, code)
        assert problem["errors"][0]["pointer"] == pointer


async def test_an_unknown_field_is_named_with_the_near_miss(loaded: httpx.AsyncClient) -> None:
    answer = await loaded.post("/v1/recommend", json={**recommend_body(), "surfce": "x", "kk": 1})
    errors = assert_problem(answer, 400, INVALID)["errors"]
    assert [(each["pointer"], each.get("did_you_mean")) for each in errors] == [("/surfce", "surface"), ("/kk", None)]


async def test_5001_excluded_ids_are_too_many(loaded: httpx.AsyncClient) -> None:
    body = recommend_body(candidates={"exclude_ids": [str(n) for n in range(5_001)]})
    errors = assert_problem(await loaded.post("/v1/recommend", json=body), 400, INVALID)["errors"]
    assert errors[0]["pointer"] == "/candidates/exclude_ids"
    body["candidates"]["exclude_ids"].pop()
    assert (await loaded.post("/v1/recommend", json=body)).status_code == 200


@pytest.mark.parametrize("path", [*HOT, CONFIG])
async def test_a_body_of_2_mb_is_too_large(dev: httpx.AsyncClient, path: str) -> None:
    body = b'{"surface": "' + b"x" * 2_000_000 + b'"}'

    async def chunks() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    method = "PUT" if path == CONFIG else "POST"
    assert_problem(await dev.request(method, path, content=body), 413, "RECSYS_PAYLOAD_TOO_LARGE")
    assert_problem(await dev.request(method, path, content=chunks()), 413, "RECSYS_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("path", [*HOT, CONFIG])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/msgpack"])
async def test_another_content_type_is_not_supported(dev: httpx.AsyncClient, path: str, content_type: str) -> None:
    method = "PUT" if path == CONFIG else "POST"
    answer = await dev.request(method, path, content=b"{}", headers={"Content-Type": content_type})
    assert_problem(answer, 415, "RECSYS_UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "application/merge-patch+json"])
async def test_json_by_any_of_its_names_is_taken(loaded: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await loaded.post("/v1/recommend", content=json.dumps(recommend_body()).encode(), headers=headers)
    assert answer.status_code == 200, answer.text


DOCUMENTS: dict[str, tuple[str, bytes, int, str]] = {
    "not JSON": (CONFIG, b"weights: 1", 400, INVALID),
    "NUL": (CONFIG, b'{"experiments": [{"name": "\\u0000"}]}', 400, INVALID),
    "NUL in a key": (CONFIG, b'{"guard": {"\\u0000": 1}}', 400, INVALID),
    "lone surrogate": (CONFIG, b'{"experiments": [{"name": "\\udfff"}]}', 400, INVALID),
    "lone surrogate in a key": (CONFIG, b'{"guard": {"\\ud800": 1}}', 400, INVALID),
    "invalid UTF-8": (CONFIG, b'{"guard": {"a": "\xff"}}', 400, INVALID),
    "a key twice": (CONFIG, b'{"weights": {"pop": 1}, "weights": {"pop": 2}}', 400, INVALID),
    "1e16": (CONFIG, b'{"guard": {"a": 1e16}}', 400, INVALID),
    "2^53": (CONFIG, b'{"guard": {"a": 9007199254740992}}', 400, INVALID),
    "2^53 as a decimal": (CONFIG, b'{"guard": {"a": 9007199254740992.0}}', 400, INVALID),
    "NaN": (CONFIG, b'{"guard": {"a": NaN}}', 400, INVALID),
    "1e999": (CONFIG, b'{"guard": {"a": 1e999}}', 400, INVALID),
    "100,000 brackets": (CONFIG, b"[" * 100_000 + b"]" * 100_000, 400, INVALID),
    "65 levels": (CONFIG, b'{"guard": {"a": ' + b"[" * 65 + b"]" * 65 + b"}}", 400, INVALID),
    "unknown key": (CONFIG, b'{"wieghts": {}}', 400, INVALID),
    "negative weight": (CONFIG, b'{"weights": {"pop": -1}}', 422, UNPROCESSABLE),
    "config as array": (CONFIG, b"[]", 400, INVALID),
    "rules as text": (RULES, b'"block"', 400, INVALID),
    "rule without target": (RULES, b'[{"action": "block", "target_type": "item"}]', 422, UNPROCESSABLE),
    "manifest of another surface": (
        "/v1/admin/tenants/demo/manifests/home",
        b'{"v": 1, "tenant": "demo", "surface": "pdp", "current": {}}', 422, UNPROCESSABLE,
    ),
    "manifest with unknown kind": (
        "/v1/admin/tenants/demo/manifests/home",
        b'{"v": 1, "tenant": "demo", "surface": "home", "current": {"popularty": "x"}}', 400, INVALID,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_bad_documents(dev: httpx.AsyncClient, name: str) -> None:
    path, body, status, code = DOCUMENTS[name]
    assert assert_problem(await dev.put(path, content=body), status, code)["errors"]


async def test_the_largest_exact_integer_is_taken(dev: httpx.AsyncClient) -> None:
    answer = await dev.put(CONFIG, content=b'{"guard": {"a": 9007199254740991, "b": 1E2, "c": 0.10}}')
    assert answer.status_code == 200, answer.text
    assert '"guard":{"a":9007199254740991,"b":100,"c":0.1}' in answer.text


async def test_a_typo_in_a_rule_s_action_says_what_was_meant(dev: httpx.AsyncClient) -> None:
    rules = [{"action": "bost", "target_type": "item", "target_key": "i1", "boost_value": 1}]
    problem = assert_problem(await dev.put(RULES, json=rules), 400, INVALID)
    assert problem["errors"] == [{**problem["errors"][0], "pointer": "/0/action", "did_you_mean": "boost"}]


@pytest.mark.parametrize(
    "surface", ["..%2f", "..%2F..%2Fetc", "%2e%2e%2fx", "%2e%2e", "a%20b", "a%00", "%C3%A9", "x" * 65]
)
async def test_a_surface_in_the_path_is_a_name(dev: httpx.AsyncClient, surface: str) -> None:
    answer = await dev.get(f"/v1/admin/tenants/demo/manifests/{surface}")
    assert_problem(answer, 400, INVALID)


@pytest.mark.parametrize("surface", ["", "../x", "a b", "a\0", "é", "x" * 65, "home\n"])
async def test_a_surface_in_the_query_is_a_name(dev: httpx.AsyncClient, surface: str) -> None:
    answer = await dev.put(
        "/v1/admin/tenants/demo/items", params={"surface": surface}, headers={"Content-Type": "text/csv"}
    )
    assert "surface" in assert_problem(answer, 400, INVALID)["detail"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("If-Match", '"not-hex"'),
        ("If-Match", ""),
        ("If-Match", '"ab'),
        ("If-None-Match", '"ab"'),
        ("If-Revision", "one"),
        ("If-Revision", "-1"),
        ("If-Revision", "9" * 30),
        ("X-Change-Reason", "x" * 1_001),
        ("X-Change-Reason", "a\x7fb"),
        ("X-Change-Reason", b"\xff"),
    ],
    ids=str,
)
async def test_malformed_headers(dev: httpx.AsyncClient, header: str, value: str | bytes) -> None:
    given: Any = {header: value}
    answer = await dev.put(CONFIG, json={}, headers=given)
    assert header in assert_problem(answer, 400, INVALID)["detail"]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/history?limit=0", "limit"),
        ("/history?limit=many", "limit"),
        ("/history?before=-1", "before"),
        ("/history?before=9999999999999999999", "before"),
        ("/audit?limit=-5", "limit"),
        ("/audit?before=yesterday", "before"),
        ("/audit?before=2025-01-01T00:00:00", "before"),
        ("/audit?before_id=1", "before_id"),
        ("/config/versions?before=0", "before"),
        ("/config/diff", "from"),
    ],
)
async def test_query_parameters_are_named(dev: httpx.AsyncClient, path: str, parameter: str) -> None:
    problem = assert_problem(await dev.get(f"/v1/admin/tenants/demo{path}"), 400, INVALID)
    assert parameter in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/recommend", "POST"),
        ("PUT", "/v1/recommend/validate", "POST"),
        ("DELETE", "/v1/similar", "POST"),
        ("DELETE", "/v1/admin/tenants", "GET, OPTIONS, POST"),
        ("PATCH", CONFIG, "GET, OPTIONS, PUT"),
    ],
)
async def test_the_wrong_method(dev: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    answer = await dev.request(method, path)
    assert_problem(answer, 405, "RECSYS_METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/recommend/", "/v1/admin/tenants/demo/nothing", "/schema"])
async def test_no_such_path(dev: httpx.AsyncClient, path: str) -> None:
    assert_problem(await dev.get(path), 404, "RECSYS_NOT_FOUND")


async def test_bad_versions_and_ids_do_not_exist(dev: httpx.AsyncClient) -> None:
    assert_problem(await dev.get(f"{CONFIG}/versions/xyz"), 404, "RECSYS_VERSION_NOT_FOUND")
    assert_problem(await dev.get(f"{CONFIG}/versions/{'0' * 64}"), 404, "RECSYS_VERSION_NOT_FOUND")
    assert_problem(await dev.delete("/v1/admin/tenants/demo/api-keys/1"), 404, "RECSYS_NOT_FOUND")
    assert_problem(await dev.get("/v1/admin/tenants/a%00b"), 404, "RECSYS_TENANT_NOT_FOUND")
    assert_problem(await dev.put(f"/v1/admin/tenants/demo/history/{10**30}/labels/known_good"), 400, INVALID)


@pytest.mark.parametrize(
    ("method", "path", "known", "meant"),
    [
        ("GET", f"{TENANT}/audit?limt=5", "before, before_id, limit", "limit"),
        ("GET", "/v1/admin/tenants?limt=5", "after, limit", "limit"),
        ("GET", f"{TENANT}/config?version=0", None, None),
        ("PUT", f"{TENANT}/config?wiat=converged", "wait", "wait"),
        ("GET", f"{TENANT}/config/diff?from=current&too=current", "from, to", "to"),
    ],
)
async def test_a_query_parameter_that_would_do_nothing_is_named(
    dev: httpx.AsyncClient, method: str, path: str, known: str | None, meant: str | None
) -> None:
    problem = assert_problem(await dev.request(method, path, json={} if method == "PUT" else None), 400, INVALID)
    (fault,) = problem["errors"]
    assert (f"Known: {known}." if known else "This path takes none.") in fault["detail"]
    assert fault.get("did_you_mean") == meant
    assert_problem(await dev.get(f"{TENANT}/config"), 404, "RECSYS_CONFIG_NOT_FOUND")


async def test_strangers_learn_nothing_of_query_parameters(api: Api) -> None:
    async with api.client() as client:
        assert_problem(await client.get(f"{TENANT}/audit?limt=5"), 401, "RECSYS_UNAUTHENTICATED")
