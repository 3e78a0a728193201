"""The hot paths: answers, request ids, and going on without the database."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.conftest import Api, assert_problem, recommend_body

CONFIG = "/v1/admin/tenants/demo/config"


async def test_an_answer_names_what_produced_it(loaded: httpx.AsyncClient) -> None:
    version = (await loaded.put(CONFIG, json={})).json()["config_version"]
    answer = await loaded.post("/v1/recommend", json=recommend_body(k=3))
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert [item["rank"] for item in body["items"]] == [1, 2, 3]
    meta = body["meta"]
    assert (meta["config_version"], meta["rules_version"], meta["revision"]) == (version, None, 1)
    assert meta["request_id"] == answer.headers["x-request-id"]
    assert meta["timings_ms"]["total"] > 0


async def test_validate_answers_the_request_as_understood(loaded: httpx.AsyncClient) -> None:
    answer = (await loaded.post("/v1/recommend/validate", json=recommend_body())).json()
    assert answer["normalized_request"]["k"] == 20
    assert "DEFAULT_APPLIED" in {warning["code"] for warning in answer["warnings"]}
    assert answer["meta"]["data_revision"] == 2


async def test_similar_answers_items(loaded: httpx.AsyncClient) -> None:
    answer = await loaded.post("/v1/similar", json={"surface": "home", "item_id": "i1", "k": 5})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"items", "meta", "warnings"}


@pytest.mark.parametrize("path", ["/v1/recommend", "/healthz", "/nowhere", CONFIG, "/docs"])
async def test_a_sane_request_id_is_taken_and_another_replaced(loaded: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST"):
        sane = await loaded.request(method, path, headers={"X-Request-Id": "a.b:C_1-2"})
        assert sane.headers.get_list("x-request-id") == ["a.b:C_1-2"]
        made = set()
        for sent in ("", "a b", "x" * 129, "<script>"):
            answer = await loaded.request(method, path, headers={"X-Request-Id": sent})
            (own,) = answer.headers.get_list("x-request-id")
            made.add(own)
            assert own != sent
        assert len(made) == 4


async def test_escapes_are_understood(loaded: httpx.AsyncClient) -> None:
    content = b'{"surfac\\u0065": "ho\\u006de", "user": {"user_id": "\\ud83d\\ude00"}}'
    assert (await loaded.post("/v1/recommend", content=content)).status_code == 200


async def test_without_the_database_admin_is_503_and_recommend_goes_on(api: Api, loaded: httpx.AsyncClient) -> None:
    await api.service.replica.stop()  # from now on it looks when this test asks it to
    await api.service.close()  # let go of the open file, then take it away
    for file in api.database_file.parent.glob("recsys.db*"):
        file.unlink()
    api.database_file.mkdir()
    for method, path, content in (
        ("GET", CONFIG, {}),
        ("PUT", CONFIG, {"json": {}}),
        ("GET", "/v1/admin/tenants", {}),
        ("POST", f"{CONFIG}/rollback", {"json": {"revision": 1}}),
    ):
        given: dict[str, Any] = content
        answer = await loaded.request(method, path, **given)
        assert_problem(answer, 503, "RECSYS_NOT_READY")
        assert answer.headers["retry-after"]
        assert "sqlite" not in answer.text.lower()
    await api.service.replica.catch_up()
    answer = await loaded.post("/v1/recommend", json=recommend_body(k=2))
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 2
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["STALE_CONTROL_PLANE"]
    assert (await loaded.get("/healthz")).status_code == 200
    assert (await loaded.get("/readyz")).status_code == 200
    health = (await loaded.get("/health/detailed")).json()
    assert (health["status"], health["database"]) == ("degraded", {"reachable": False})


async def test_what_nobody_foresaw_is_500_without_detail(
    api: Api, loaded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(api.service.replica), "snapshot", broken)
    monkeypatch.setattr(type(api.service.store), "reading", broken)
    for answer in (await loaded.post("/v1/recommend", json=recommend_body()), await loaded.get(CONFIG)):
        problem = assert_problem(answer, 500, "RECSYS_INTERNAL")
        assert "secret" not in answer.text
        assert problem["request_id"] in caplog.text
    assert "secret detail" in caplog.text


async def test_a_tenant_that_is_not_loaded_yet_is_not_ready(
    api: Api, loaded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(api.service.replica), "snapshot", lambda *_: None)
    assert_problem(await loaded.post("/v1/recommend", json=recommend_body()), 503, "RECSYS_NOT_READY")
