"""Quarantine over HTTP: every way back, the shape of the refusal, the override, and who may."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.conftest import Api, assert_problem
from tests.support.artifacts import popularity

TENANT = "/v1/admin/tenants/demo"
CONFIG, RULES, MANIFEST = f"{TENANT}/config", f"{TENANT}/rules", f"{TENANT}/manifests/home"
ARTIFACTS = [popularity(score) for score in (1.0, 2.0, 3.0)]
MANIFESTS = [{"v": 1, "tenant": "demo", "surface": "home", "current": {"popularity": each.uri}} for each in ARTIFACTS]
DOCUMENTS: dict[str, tuple[str, list[Any]]] = {
    "config": (CONFIG, [{"weights": {"pop": n}} for n in (1, 2, 3)]),
    "rules": (RULES, [[{"action": "block", "target_type": "item", "target_key": f"i{n}"}] for n in (1, 2, 3)]),
    "manifest": (MANIFEST, MANIFESTS),
}
CODE = "RECSYS_VERSION_QUARANTINED"


@pytest.fixture
async def dev(api: Api, dev: httpx.AsyncClient) -> httpx.AsyncClient:
    """The developer, with the artifacts that the manifests name."""
    for each in ARTIFACTS:
        await each.store(api.service.blobs, (await dev.get(TENANT)).json()["id"])
    return dev


async def make(dev: httpx.AsyncClient, kind: str = "config") -> list[str]:
    """Three versions of a document; the third is current, the second under quarantine."""
    path, bodies = DOCUMENTS[kind]
    made = [(await dev.put(path, json=body)).json()[f"{kind}_version"] for body in bodies]
    answer = await dev.post(f"{path}/versions/{made[1]}/quarantine", json={"reason": "empty lists"})
    assert answer.status_code == 200, answer.text
    return made


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_a_version_under_quarantine_says_so_wherever_it_is_shown(dev: httpx.AsyncClient, kind: str) -> None:
    path, _ = DOCUMENTS[kind]
    made = await make(dev, kind)
    again = (await dev.post(f"{path}/versions/{made[1].upper()}/quarantine", json={"reason": "x"})).json()
    surface = "home" if kind == "manifest" else None
    quarantined = again["quarantined"]
    assert quarantined.keys() == {"at", "by", "reason"}
    assert (quarantined["by"], quarantined["reason"]) == ("dev", "empty lists")
    assert again == {
        "document": kind,
        "surface": surface,
        "version": made[1],
        "quarantined": quarantined,
        "current": False,
        "changed": False,
        "warnings": [],
    }
    assert (await dev.get(f"{path}/versions/{made[1]}")).json()["quarantined"] == quarantined
    listed = (await dev.get(f"{path}/versions")).json()["versions"]
    assert {each["version"]: each["quarantined"] for each in listed} == {
        made[0]: None,
        made[1]: quarantined,
        made[2]: None,
    }
    assert (await dev.get(path)).json()["quarantined"] is None
    assert (await dev.get(f"{TENANT}/quarantine")).json() == {
        "quarantined": [{"document": kind, "surface": surface, "version": made[1], **quarantined}]
    }
    name = "manifest/home" if kind == "manifest" else kind
    entries = (await dev.get(f"{TENANT}/history")).json()["entries"]
    assert [entry["quarantined"] for entry in entries] == [[], [name], []]
    diff = await dev.get(f"{path}/diff?from={made[0]}&to={made[1]}")
    assert diff.json().keys() == {"from", "to", "differences", "total"}


@pytest.mark.parametrize("way", ["put", "to", "revision", "at", "audit_id", "steps", "tenant"])
@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_no_way_leads_back_without_an_override(dev: httpx.AsyncClient, kind: str, way: str) -> None:
    path, bodies = DOCUMENTS[kind]
    made = await make(dev, kind)
    then = (await dev.get(f"{TENANT}/history")).json()["entries"][1]["occurred_at"]
    audit = (await dev.get(f"{TENANT}/audit")).json()["entries"]
    targets = {
        "to": {"to": made[1]},
        "revision": {"revision": 2},
        "at": {"at": then},
        "audit_id": {"audit_id": next(entry["id"] for entry in audit if entry["revision"] == 3)},
        "steps": {"steps": 1},
        "tenant": {"revision": 2},
    }

    async def apply(**headers: str) -> httpx.Response:
        sent = {"If-Revision": "3", **headers}
        if way == "put":
            return await dev.put(path, json=bodies[1], headers=sent)
        where = TENANT if way == "tenant" else path
        return await dev.post(f"{where}/rollback", json=targets[way], headers=sent)

    problem = assert_problem(await apply(), 422, CODE)
    (named,) = problem["quarantined"]
    assert (named["document"], named["version"], named["by"]) == (kind, made[1], "dev")
    for part in (made[1], "by dev", "empty lists", named["at"][:19], "X-Override-Quarantine", "lift the quarantine"):
        assert part in problem["detail"]
    assert (await dev.get(path)).json()[f"{kind}_version"] == made[2]

    applied = await apply(**{"X-Override-Quarantine": "the fix is out"})
    assert applied.status_code == 200, applied.text
    current = (await dev.get(path)).json()
    assert current[f"{kind}_version"] == made[1]
    assert current["quarantined"]["reason"] == "empty lists"
    newest = (await dev.get(f"{TENANT}/audit?limit=1")).json()["entries"][0]
    assert newest["extra"]["quarantine_override"] == "the fix is out"


async def test_a_lifted_version_is_like_any_other(dev: httpx.AsyncClient) -> None:
    made = await make(dev)
    where = f"{CONFIG}/versions/{made[1]}/quarantine"
    lifted = await dev.delete(where, headers={"X-Change-Reason": "tested"})
    assert (lifted.status_code, lifted.json()["changed"], lifted.json()["quarantined"]) == (200, True, None)
    assert (await dev.delete(where)).json()["changed"] is False
    assert (await dev.put(CONFIG, json={"weights": {"pop": 2}})).json()["warnings"] == []
    audit = (await dev.get(f"{TENANT}/audit")).json()["entries"]
    said = [(entry["action"], entry["extra"].get("reason")) for entry in audit if "quarantine" in entry["action"]]
    assert said == [("config.quarantine_lift", "tested"), ("config.quarantine", "empty lists")]


async def test_what_is_current_may_be_under_quarantine_and_every_answer_warns_of_it(dev: httpx.AsyncClient) -> None:
    made = await make(dev)
    answer = (await dev.post(f"{CONFIG}/versions/{made[2]}/quarantine", json={"reason": "slow"})).json()
    assert answer["current"] is True
    assert [each["code"] for each in answer["warnings"]] == ["CURRENT_QUARANTINED"]
    assert "/rollback" in answer["warnings"][0]["detail"]
    same = await dev.put(CONFIG, json={"weights": {"pop": 3}})
    assert (same.status_code, same.json()["changed"]) == (200, False)
    assert [each["code"] for each in same.json()["warnings"]] == ["CURRENT_QUARANTINED"]
    assert (await dev.get(CONFIG)).json()["quarantined"]["reason"] == "slow"


@pytest.mark.parametrize("path", [CONFIG, TENANT])
async def test_a_rollback_can_put_what_it_leaves_under_quarantine(dev: httpx.AsyncClient, path: str) -> None:
    made = await make(dev)
    wish = {"revision": 1, "quarantine": True, "reason": "größer als gedacht"}
    answer = (await dev.post(f"{path}/rollback", json=wish)).json()
    assert [each["code"] for each in answer["warnings"]] == ["QUARANTINED"]
    assert made[2] in answer["warnings"][0]["detail"]
    nightly = assert_problem(await dev.put(CONFIG, json={"weights": {"pop": 3}}), 422, CODE)
    assert "größer als gedacht" in nightly["detail"]
    assert (await dev.get(CONFIG)).json()["config_version"] == made[0]
    actions = [entry["action"] for entry in (await dev.get(f"{TENANT}/audit?limit=2")).json()["entries"]]
    assert actions == ["config.quarantine", "config.rollback"]


async def test_known_good_passes_over_a_state_that_was_found_to_be_bad(dev: httpx.AsyncClient) -> None:
    made = await make(dev)
    for revision, quarantined in ((1, []), (2, ["config"])):
        entry = (await dev.put(f"{TENANT}/history/{revision}/labels/known_good")).json()
        assert (entry["labels"], entry["quarantined"]) == (["known_good"], quarantined)
    answer = (await dev.post(f"{TENANT}/rollback", json={"to": "known_good"})).json()
    assert [each["code"] for each in answer["warnings"]] == ["KNOWN_GOOD_PASSED_OVER"]
    assert (await dev.get(CONFIG)).json()["config_version"] == made[0]


@pytest.mark.parametrize("value", [b"", b"   ", b"\xff", b"a\x07b", b"x" * 1001])
async def test_an_override_that_does_not_say_why_is_refused(dev: httpx.AsyncClient, value: bytes) -> None:
    await make(dev)
    headers: Any = {"X-Override-Quarantine": value}
    for answer in (
        await dev.put(CONFIG, json={"weights": {"pop": 2}}, headers=headers),
        await dev.post(f"{CONFIG}/rollback", json={"revision": 2}, headers=headers),
        await dev.post(f"{TENANT}/rollback", json={"revision": 2}, headers=headers),
    ):
        problem = assert_problem(answer, 400, "RECSYS_INVALID_REQUEST")
        assert problem["detail"].startswith("X-Override-Quarantine")


async def test_an_override_may_be_said_in_any_language(dev: httpx.AsyncClient) -> None:
    await make(dev)
    headers: Any = {"X-Override-Quarantine": "geprüft".encode()}
    assert (await dev.put(CONFIG, json={"weights": {"pop": 2}}, headers=headers)).status_code == 200
    newest = (await dev.get(f"{TENANT}/audit?limit=1")).json()["entries"][0]
    assert newest["extra"]["quarantine_override"] == "geprüft"


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": "x" * 1001}, {"reason": "x", "y": 1}])
async def test_a_quarantine_says_why(dev: httpx.AsyncClient, body: dict[str, str]) -> None:
    made = await make(dev)
    answer = await dev.post(f"{CONFIG}/versions/{made[0]}/quarantine", json=body)
    problem = assert_problem(answer, 400, "RECSYS_INVALID_REQUEST")
    assert problem["errors"]


@pytest.mark.parametrize("version", ["0" * 64, "nonsense", "current"])
async def test_what_was_never_stored_cannot_be_under_quarantine(dev: httpx.AsyncClient, version: str) -> None:
    path = f"{CONFIG}/versions/{version}/quarantine"
    assert_problem(await dev.post(path, json={"reason": "x"}), 404, "RECSYS_VERSION_NOT_FOUND")
    assert_problem(await dev.delete(path), 404, "RECSYS_VERSION_NOT_FOUND")


async def test_responders_and_up_may(api: Api, dev: httpx.AsyncClient, keys: dict[str, str]) -> None:
    made = await make(dev)
    path = f"{CONFIG}/versions/{made[0]}/quarantine"
    for role, key in keys.items():
        status = 200 if role in ("responder", "operator", "admin") else 403
        async with api.client(**{"X-API-Key": key}) as client:
            assert (await client.post(path, json={"reason": "x"})).status_code == status, role
            assert (await client.delete(path)).status_code == status, role
            assert (await client.get(f"{TENANT}/quarantine")).status_code == (403 if role == "serving" else 200), role


async def test_the_description_shows_it(dev: httpx.AsyncClient) -> None:
    document = (await dev.get("/openapi.json")).json()
    paths = document["paths"]
    assert paths["/v1/admin/tenants/{tenant_id}/rules/versions/{version}/quarantine"].keys() == {"post", "delete"}
    for path, method in (("config", "put"), ("rules/rollback", "post"), ("rollback", "post")):
        parameters = paths[f"/v1/admin/tenants/{{tenant_id}}/{path}"][method]["parameters"]
        assert "X-Override-Quarantine" in {each["name"] for each in parameters}, path
    assert "quarantine" in document["components"]["schemas"]["RollbackRequest"]["properties"]
    assert "quarantined" in document["components"]["schemas"]["ConfigDocumentAnswer"]["properties"]


async def test_a_replayed_rollback_does_not_call_live_what_has_been_moved_away_from(dev: httpx.AsyncClient) -> None:
    made = await make(dev)
    override = {"X-Override-Quarantine": "once more", "Idempotency-Key": "k"}
    codes = []
    for target in (None, made[0]):
        if target:
            (await dev.post(f"{CONFIG}/rollback", json={"to": target})).raise_for_status()
        answer = (await dev.post(f"{CONFIG}/rollback", json={"to": made[1]}, headers=override)).json()
        assert (answer["config_version"], answer["quarantined"]["reason"]) == (made[1], "empty lists")
        codes.append([each["code"] for each in answer["warnings"]])
    assert codes == [["CURRENT_QUARANTINED"], []]
    assert (await dev.get(CONFIG)).json()["config_version"] == made[0]
