"""Reading, changing and rolling back documents: versions, preconditions, history."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import uuid
from typing import Any

import httpx
import pytest

from tests.http.conftest import Api, assert_problem, recommend_body
from tests.support.artifacts import Artifact

POPULARITY = Artifact("popularity")
TENANT = "/v1/admin/tenants/demo"
CONFIG, RULES, MANIFEST = f"{TENANT}/config", f"{TENANT}/rules", f"{TENANT}/manifests/home"
REASON: Any = {"X-Change-Reason": "größer".encode()}
DOCUMENTS: dict[str, tuple[str, Any, Any]] = {
    "config": (CONFIG, {"weights": {"pop": 1}}, {"weights": {"pop": 2}}),
    "rules": (RULES, [], [{"action": "block", "target_type": "item", "target_key": "i1"}]),
    "manifest": (
        MANIFEST,
        {"v": 1, "tenant": "demo", "surface": "home", "current": {}},
        {"v": 1, "tenant": "demo", "surface": "home", "current": {"popularity": POPULARITY.uri}},
    ),
}


@pytest.fixture
async def dev(api: Api, dev: httpx.AsyncClient) -> httpx.AsyncClient:
    """The developer, with the artifact that the manifest names."""
    await POPULARITY.store(api.service.blobs, (await dev.get(TENANT)).json()["id"])
    return dev


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_a_document_comes_back_as_it_was_put(dev: httpx.AsyncClient, kind: str) -> None:
    path, first, _ = DOCUMENTS[kind]
    assert_problem(await dev.get(path), 404, f"RECSYS_{kind.upper()}_NOT_FOUND")
    put = await dev.put(path, json=first)
    assert put.status_code == 200, put.text
    assert put.json()["changed"] is True
    assert isinstance(put.json()["warnings"], list)
    got = await dev.get(path)
    answer = got.json()
    assert answer.keys() == {
        *("tenant_id", f"{kind}_version", "revision", "updated_at", "updated_by", "quarantined", kind)
    }
    assert answer[kind] == first
    assert got.headers["etag"] == f'"{answer[f"{kind}_version"]}"' == put.headers["etag"]
    assert got.headers["cache-control"] == "no-store"
    assert answer == {name: put.json()[name] for name in answer}


async def test_rules_may_be_sent_in_an_envelope_into_which_faults_point(dev: httpx.AsyncClient) -> None:
    rules = DOCUMENTS["rules"][2]
    put = (await dev.put(RULES, json={"rules": rules})).json()
    assert put["rules"] == {"rules": rules}
    bad = {"rules": [rules[0] | {"valid_from": "2026-11-23T10:00:00"}, rules[0] | {"valid_until": "soon"}]}
    problem = assert_problem(await dev.put(RULES, json=bad), 400, "RECSYS_INVALID_REQUEST")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/rules/0/valid_from", "/rules/1/valid_until"]


async def test_stored_text_is_answered_verbatim(dev: httpx.AsyncClient) -> None:
    await dev.put(CONFIG, content=b'{ "guard" : {"b": 1.50, "a": "\xc3\xa9"} }')
    assert '"config":{"guard":{"a":"é","b":1.5}}' in (await dev.get(CONFIG)).text


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_the_same_again_changes_nothing(dev: httpx.AsyncClient, kind: str) -> None:
    path, first, _ = DOCUMENTS[kind]
    before = (await dev.put(path, json=first)).json()
    again = await dev.put(path, json=first, headers={"If-Match": "0" * 64})
    assert again.status_code == 200, again.text
    assert again.json() == {**before, "changed": False}
    assert len((await dev.get(f"{TENANT}/history")).json()["entries"]) == 1


async def test_preconditions_are_judged_in_their_order(dev: httpx.AsyncClient) -> None:
    one, two = {"weights": {"pop": 1}}, {"weights": {"pop": 2}}
    created = await dev.put(CONFIG, json=one, headers={"If-None-Match": "*"})
    assert created.status_code == 200
    assert_problem(await dev.put(CONFIG, json=one, headers={"If-None-Match": "*"}), 412, "RECSYS_PRECONDITION_FAILED")
    etag = created.headers["etag"]
    for value in (etag, etag.strip('"'), f"W/{etag}", f'"{"0" * 64}", {etag}', "*"):
        assert (await dev.put(CONFIG, json=one, headers={"If-Match": value})).status_code == 200
    moved = await dev.put(CONFIG, json=two, headers=[("If-Match", "0" * 64), ("If-Match", etag)])
    assert moved.json()["changed"] is True, moved.text
    problem = assert_problem(
        await dev.put(CONFIG, json={"weights": {"pop": 3}}, headers={"If-Match": etag}), 409, "RECSYS_VERSION_MISMATCH"
    )
    assert problem["current_version"] == moved.json()["config_version"]
    assert problem["current_revision"] == 2
    assert problem["updated_by"] == "dev"
    assert problem["updated_at"] == moved.json()["updated_at"]
    assert problem["differs"] == ["/weights/pop"]
    refused = await dev.post(f"{CONFIG}/rollback", json={"revision": 1}, headers={"If-Match": "0" * 64})
    assert assert_problem(refused, 409, "RECSYS_VERSION_MISMATCH")["differs"] == ["/weights/pop"]


async def test_a_revision_sees_what_a_hash_cannot(dev: httpx.AsyncClient) -> None:
    """A, then B, then A again: the version is the old one, the revision is not."""
    first = (await dev.put(CONFIG, json={})).json()
    await dev.put(CONFIG, json={"flags": {}})
    await dev.put(CONFIG, json={})
    late = {"weights": {"pop": 9}}
    refused = await dev.put(CONFIG, json=late, headers={"If-Revision": str(first["revision"])})
    assert_problem(refused, 409, "RECSYS_VERSION_MISMATCH")
    assert (await dev.put(CONFIG, json=late, headers={"If-Revision": "3"})).json()["changed"] is True


async def test_a_tenant_may_require_a_precondition(dev: httpx.AsyncClient) -> None:
    await dev.patch(TENANT, json={"require_if_match": True})
    assert_problem(await dev.put(CONFIG, json={}), 428, "RECSYS_PRECONDITION_REQUIRED")
    assert (await dev.put(CONFIG, json={}, headers={"If-None-Match": "*"})).status_code == 200


async def test_of_many_writers_from_one_state_one_wins(dev: httpx.AsyncClient) -> None:
    etag = (await dev.put(CONFIG, json={})).headers["etag"]
    answers = await asyncio.gather(
        *(dev.put(CONFIG, json={"weights": {"pop": n}}, headers={"If-Match": etag}) for n in range(1, 9))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_a_frozen_tenant_takes_rollbacks_only(dev: httpx.AsyncClient) -> None:
    await dev.put(CONFIG, json={})
    await dev.put(CONFIG, json={"flags": {}})
    await dev.patch(TENANT, json={"frozen": True})
    assert_problem(await dev.put(CONFIG, json={"flags": {"x": True}}), 423, "RECSYS_FROZEN")
    assert (await dev.post(f"{CONFIG}/rollback", json={"revision": 1})).json()["changed"] is True


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_every_form_of_rollback(dev: httpx.AsyncClient, kind: str) -> None:
    path, first, second = DOCUMENTS[kind]
    one, two = (await dev.put(path, json=first)).json(), (await dev.put(path, json=second)).json()
    version = f"{kind}_version"
    audit = (await dev.get(f"{TENANT}/audit")).json()["entries"]
    moved_to_two = next(entry for entry in audit if entry["revision"] == 2)
    forms = [
        {"to": one[version]},
        {"revision": 1},
        {"at": one["updated_at"]},
        {"audit_id": moved_to_two["id"]},
    ]
    for revision, form in enumerate(forms):
        answer = await dev.post(f"{path}/rollback", json={**form, "reason": "it broke"})
        assert answer.status_code == 200, answer.text
        assert answer.json()[version] == one[version]
        assert answer.json()[kind] == first
        assert answer.json()["revision"] == 3 + 2 * revision
        assert (await dev.put(path, json=second)).json()[version] == two[version]
    entry = (await dev.get(f"{TENANT}/history?limit=2")).json()["entries"][1]
    assert (entry["action"], entry["reason"]) == (f"{kind}.rollback", "it broke")


async def test_steps_need_something_that_makes_them_safe_to_repeat(dev: httpx.AsyncClient) -> None:
    for n in (1, 2, 3):
        await dev.put(CONFIG, json={"weights": {"pop": n}})
    back = f"{CONFIG}/rollback"
    assert_problem(await dev.post(back, json={"steps": 1}), 428, "RECSYS_PRECONDITION_REQUIRED")
    answer = await dev.post(back, json={"steps": 1}, headers={"Idempotency-Key": "k1"})
    assert answer.json()["config"] == {"weights": {"pop": 2}}
    again = await dev.post(back, json={"steps": 1}, headers={"Idempotency-Key": "k1"})
    assert again.json()["changed"] is False
    assert again.json()["config_version"] == answer.json()["config_version"]
    assert_problem(
        await dev.post(back, json={"steps": 1}, headers={"Idempotency-Key": "a b"}), 400, "RECSYS_INVALID_REQUEST"
    )


async def test_a_document_goes_back_to_nothing(dev: httpx.AsyncClient) -> None:
    await dev.put(RULES, json=[])
    await dev.put(CONFIG, json={})
    answer = (await dev.post(f"{CONFIG}/rollback", json={"revision": 1})).json()
    assert answer["config"] is None
    assert answer["config_version"] is None
    assert_problem(await dev.get(CONFIG), 404, "RECSYS_CONFIG_NOT_FOUND")
    again = await dev.put(CONFIG, json={"algorithm": "cooc"}, headers={"If-Revision": str(answer["revision"])})
    assert again.json()["changed"] is True, again.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "RECSYS_UNPROCESSABLE_ENTITY"),
        ({"revision": 1, "steps": 1}, 422, "RECSYS_UNPROCESSABLE_ENTITY"),
        ({"reveision": 1}, 400, "RECSYS_INVALID_REQUEST"),
        ({"revision": "1"}, 400, "RECSYS_INVALID_REQUEST"),
        ({"revision": 99}, 404, "RECSYS_VERSION_NOT_FOUND"),
        ({"to": "0" * 64}, 404, "RECSYS_VERSION_NOT_FOUND"),
        ({"to": "known_good"}, 404, "RECSYS_VERSION_NOT_FOUND"),
        ({"audit_id": 10**9}, 404, "RECSYS_VERSION_NOT_FOUND"),
        ({"audit_id": 2**53 - 1}, 404, "RECSYS_VERSION_NOT_FOUND"),
    ],
)
async def test_rollbacks_that_lead_nowhere(dev: httpx.AsyncClient, body: Any, status: int, code: str) -> None:
    await dev.put(CONFIG, json={})
    assert_problem(await dev.post(f"{CONFIG}/rollback", json=body), status, code)


async def test_all_documents_go_back_together(dev: httpx.AsyncClient) -> None:
    for path, first, second in DOCUMENTS.values():
        await dev.put(path, json=first)
        await dev.put(path, json=second)
    labelled = await dev.put(f"{TENANT}/history/5/labels/known_good")
    assert labelled.json()["labels"] == ["known_good"]
    answer = (await dev.post(f"{TENANT}/rollback", json={"revision": 1})).json()
    assert (answer["revision"], answer["changed"]) == (7, True)
    assert {(each["document"], each["surface"]) for each in answer["moved"]} == {
        ("config", None), ("rules", None), ("manifest", "home"),
    }  # fmt: skip
    good = (await dev.post(f"{TENANT}/rollback", json={"to": "known_good"})).json()
    assert good["revision"] == 8
    entries = (await dev.get(f"{TENANT}/history")).json()["entries"]
    assert entries[0]["pointers"] == entries[3]["pointers"]
    assert_problem(await dev.post(f"{TENANT}/rollback", json={"steps": 1}), 422, "RECSYS_UNPROCESSABLE_ENTITY")


async def test_versions_page_by_page(dev: httpx.AsyncClient) -> None:
    for n in range(1, 6):
        await dev.put(CONFIG, json={"weights": {"pop": n}}, headers={"X-Change-Reason": f"try {n}"})
    seen: list[Any] = []
    before: str | None = None
    while True:
        page = (
            await dev.get(f"{CONFIG}/versions", params={"limit": 2, **({"before": before} if before else {})})
        ).json()
        seen += page["versions"]
        before = page["next_before"]
        if before is None:
            break
    assert [each["comment"] for each in seen] == [f"try {n}" for n in (5, 4, 3, 2, 1)]
    assert [each["current"] for each in seen] == [True, False, False, False, False]
    stored = (await dev.get(f"{CONFIG}/versions/{seen[-1]['version']}")).json()
    assert stored["config"] == {"weights": {"pop": 1}}
    assert stored["config_version"] == seen[-1]["version"]


async def test_history_page_by_page(dev: httpx.AsyncClient) -> None:
    for n in range(1, 6):
        await dev.put(CONFIG, json={"weights": {"pop": n}}, headers=REASON)
    first = (await dev.get(f"{TENANT}/history?limit=3")).json()
    rest = (await dev.get(f"{TENANT}/history?limit=3&before={first['next_before']}")).json()
    assert [entry["revision"] for entry in first["entries"] + rest["entries"]] == [5, 4, 3, 2, 1]
    assert rest["next_before"] is None
    assert first["entries"][0]["reason"] == "größer"


async def test_diff_between_versions_and_current(dev: httpx.AsyncClient) -> None:
    one = (await dev.put(CONFIG, json={"weights": {"pop": 1}})).json()["config_version"]
    two = (await dev.put(CONFIG, json={"weights": {"pop": 2}, "flags": {}})).json()["config_version"]
    answer = (await dev.get(f"{CONFIG}/diff", params={"from": one})).json()
    assert (answer["from"], answer["to"]) == (one, two)
    assert answer["differences"] == [
        {"op": "added", "pointer": "/flags", "after": {}},
        {"op": "changed", "pointer": "/weights/pop", "before": 1, "after": 2},
    ]
    assert (await dev.get(f"{CONFIG}/diff", params={"from": "current", "to": one})).json()["to"] == one


async def test_a_stored_version_is_re_appliable_whatever_today_s_validation_says(
    api: Api, dev: httpx.AsyncClient
) -> None:
    """As if an earlier release had taken it: written by hand, with a key that no release knows any more."""
    text = '{"weights_of_old":{"pop":1}}'
    tenant_id = (await dev.get(TENANT)).json()["id"]
    last_good = (await dev.put(CONFIG, json={})).json()["config_version"]
    with sqlite3.connect(api.database_file) as connection:
        columns = "id, tenant_id, config, etag, created_at, created_by_sub"
        connection.execute(
            f"insert into tenant_config_versions ({columns}) select ?, ?, ?, ?, created_at, 'old'"
            " from tenant_config_versions limit 1",
            (str(uuid.uuid4()), tenant_id, text, hashlib.sha256(text.encode()).hexdigest()),
        )
    connection.close()
    answer = await dev.put(CONFIG, content=text.encode())
    assert answer.status_code == 200, answer.text
    assert answer.json()["changed"] is True
    assert "UNREADABLE" in {warning["code"] for warning in answer.json()["warnings"]}
    assert_problem(await dev.put(CONFIG, content=b'{"weights_of_old":{"pop":2}}'), 400, "RECSYS_INVALID_REQUEST")
    # The replica goes on with the last state that it could read.
    meta = (await dev.post("/v1/recommend", json=recommend_body())).json()["meta"]
    assert (meta["config_version"], meta["revision"]) == (last_good, 2)


async def test_lint_warns_about_what_may_not_work(loaded: httpx.AsyncClient) -> None:
    rules = [
        {"action": "pin", "target_type": "item", "target_key": "nowhere"},
        {"action": "block", "target_type": "item", "target_key": "i1", "valid_until": "2020-01-01T00:00:00Z"},
    ]
    answer = (await loaded.put(RULES, json=rules)).json()
    assert {warning["pointer"] for warning in answer["warnings"]} == {"/0/target_key", "/1/valid_until"}


async def test_a_change_is_served_before_it_is_answered(loaded: httpx.AsyncClient) -> None:
    rules = [{"action": "pin", "target_type": "item", "target_key": "i29"}]
    for wanted in (rules, []):
        put = (await loaded.put(RULES, json=wanted)).json()
        answer = (await loaded.post("/v1/recommend", json=recommend_body(k=5))).json()
        assert answer["meta"]["rules_version"] == put["rules_version"]
        assert answer["meta"]["revision"] == put["revision"]
        assert (answer["items"][0]["item_id"] == "i29") is bool(wanted)
