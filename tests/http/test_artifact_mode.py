"""A surface that is served from artifacts, over HTTP: answers, status, metrics, reading again."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import httpx
import pytest

from recsys.control.publish import NewArtifact, store_artifact
from recsys.domain.manifest import ArtifactKind
from recsys.domain.recommend import User
from tests.http.conftest import Api, build, recommend_body
from tests.support.artifact_case import artifacts_of, as_publishable
from tests.support.artifacts import LINEAGE, Artifact
from tests.support.cases import Case
from tests.support.crowded import Crowd
from tests.support.surfaces import NOW

TENANT = "/v1/admin/tenants/demo"
MANIFEST = f"{TENANT}/manifests/home"


def popular(**scores: float) -> Artifact:
    return Artifact("popularity", [{"item_id": name, "score": score} for name, score in scores.items()])


def catalog(*names: str) -> Artifact:
    unknown = {"title": "", "tags": ["red"], "price": 1.0, "created_at": 0, "attributes": ""}
    return Artifact("catalog", [{"item_id": name} | unknown for name in names])


async def publish(api: Api, dev: httpx.AsyncClient, *artifacts: Artifact) -> Any:
    tenant_id = (await dev.get(TENANT)).json()["id"]
    for each in artifacts:
        await each.store(api.service.blobs, tenant_id)
    return await point(api, dev, {each.kind: each.uri for each in artifacts})


async def point(api: Api, dev: httpx.AsyncClient, current: dict[ArtifactKind, str]) -> Any:
    document = {"v": 1, "tenant": "demo", "surface": "home", "current": current}
    done = await dev.put(f"{MANIFEST}?wait=converged", json=document)
    assert done.status_code == 200, done.text
    await api.service.replica.catch_up()
    return done.json()


async def answer(dev: httpx.AsyncClient, **fields: Any) -> Any:
    return (await dev.post("/v1/recommend", json=recommend_body(**fields))).json()


def names(answered: Any) -> list[str]:
    return [each["item_id"] for each in answered["items"]]


async def test_answers_come_from_the_manifest_and_say_so(api: Api, loaded: httpx.AsyncClient) -> None:
    assert (await answer(loaded))["meta"]["manifest_version"] is None
    published = await publish(api, loaded, popular(x=2.0, y=1.0), catalog("x"))
    assert published["warnings"] == []

    answered = await answer(loaded)
    assert names(answered) == ["x", "y"]
    assert answered["meta"]["manifest_version"] == published["manifest_version"]
    assert names(await answer(loaded, constraints={"required_tags": ["red"]})) == ["x"]
    (warning,) = (await answer(loaded, algorithm="session_seq", anchors={"item_ids": ["x"]}))["warnings"]
    assert warning["code"] == "SIGNAL_UNAVAILABLE"


async def test_status_tells_what_is_current_and_what_is_served(api: Api, loaded: httpx.AsyncClient) -> None:
    before = (await loaded.get(f"{TENANT}/status")).json()
    assert before["surfaces"] == {
        "home": {
            "served": {
                "data_mode": "tables",
                "manifest_version": None,
                "data_revision": 2,
                "items": 30,
                "signals": ["popularity"],
            },
            "manifest_version": None,
            "manifest_moved_at": None,
            "manifest_age_seconds": None,
        }
    }
    assert before["last_change"] is None
    assert before["current"] == {"revision": 0, "config_version": None, "rules_version": None}

    await loaded.put(f"{TENANT}/config", json={"weights": {"pop": 1}})
    await loaded.put(f"{TENANT}/history/1/labels/known_good")
    headers = {"X-Change-Reason": "nightly"}
    published = await publish(api, loaded, popular(x=2.0, y=1.0), catalog("x"), Artifact("history"))
    await loaded.put(f"{TENANT}/rules?wait=converged", json=[], headers=headers)
    after = (await loaded.get(f"{TENANT}/status")).json()

    (home,) = after["surfaces"].values()
    assert home["served"] == {
        "data_mode": "artifacts",
        "manifest_version": published["manifest_version"],
        "data_revision": None,
        "items": 5,
        "signals": ["popularity", "history"],
    }
    assert home["manifest_version"] == published["manifest_version"]
    assert home["manifest_moved_at"] == published["updated_at"]
    assert 0 <= home["manifest_age_seconds"] < 60
    assert after["current"] == after["served"]
    assert after["current"]["revision"] == 3
    assert (after["incompatible"], after["known_good"], after["quarantined"]) == (None, 1, 0)
    change = after["last_change"]
    assert (change["revision"], change["action"], change["by"], change["reason"]) == (
        3,
        "rules.update",
        "dev",
        "nightly",
    )
    assert after["replicas"] == {"converged": True, "live": 1, "others": {}}


async def test_status_is_for_those_who_may_read(api: Api, keys: dict[str, str]) -> None:
    for role, key in keys.items():
        async with api.client(authorization=f"Bearer {key}") as client:
            status = (await client.get(f"{TENANT}/status")).status_code
        assert status == (403 if role == "serving" else 200), role


async def test_metrics_tell_the_age_of_manifests_and_what_was_refused(api: Api, loaded: httpx.AsyncClient) -> None:
    tenant_id = (await loaded.get(TENANT)).json()["id"]
    await loaded.put(f"{TENANT}/config", json={})
    await publish(api, loaded, popular(x=2.0), catalog("x"))
    said = (await loaded.get("/metrics")).text
    age = f'recsys_manifest_age_seconds{{surface="home",tenant="{tenant_id}",worker="0"}} '
    (line,) = [each for each in said.splitlines() if each.startswith(age)]
    assert 0 <= float(line.removeprefix(age)) < 60

    await loaded.post(f"{TENANT}/rollback", json={"revision": 1})
    assert age not in (await loaded.get("/metrics")).text


async def test_what_is_damaged_is_refused_when_it_is_read_again(api: Api, loaded: httpx.AsyncClient) -> None:
    tenant_id = (await loaded.get(TENANT)).json()["id"]
    good = popular(x=2.0)
    await publish(api, loaded, good, catalog("x"))
    file = api.database_file.parent / "recsys-artifacts" / good.at(tenant_id).blob
    file.write_bytes(good.content[:-1] + b"!")

    wish = {"targets": ["popularity"], "surface": "home"}
    said = (await loaded.post(f"{TENANT}/cache/invalidate", json=wish)).json()
    assert said["invalidated"] == {"popularity": 0}
    assert [each["status"] for each in said["receipt"]["replicas"]] == ["incompatible"]
    assert names(await answer(loaded)) == ["x"]
    status = (await loaded.get(f"{TENANT}/status")).json()
    assert status["incompatible"] == "manifest/home"
    assert set(status["replicas"]["others"].values()) == {"incompatible"}
    metrics = (await loaded.get("/metrics")).text
    assert f'recsys_artifact_refused_total{{tenant="{tenant_id}"}} 1.0' in metrics

    file.write_bytes(good.content)
    said = (await loaded.post(f"{TENANT}/cache/invalidate", json=wish)).json()
    assert (said["status"], said["invalidated"]) == ("applied", {"popularity": 1})
    assert (await loaded.get(f"{TENANT}/status")).json()["incompatible"] is None


@pytest.mark.parametrize("cached", [True, False])
async def test_another_process_of_the_host_serves_the_same(
    api: Api,
    loaded: httpx.AsyncClient,
    cached: bool,
) -> None:
    await publish(api, loaded, popular(x=2.0, y=1.0), catalog("x"))
    mine = (await answer(loaded))["items"]
    settings = {"cache_dir": str(api.database_file.parent / "cache")} if cached else {}
    other = build(api.database_file, **settings)
    async with other.service.running(), other.client(**{"X-Dev-User-Id": "dev", "X-Org-Id": "demo"}) as client:
        assert (await answer(client))["items"] == mine


@pytest.mark.parametrize("seed", range(4))
async def test_every_user_gets_what_is_worked_out_offline(api: Api, dev: httpx.AsyncClient, seed: int) -> None:
    tenant_id, users = (await dev.get(TENANT)).json()["id"], [f"u{number}" for number in range(12)]
    crowd = Crowd(random.Random(seed), [f"i{number:02}" for number in range(40)], ["red", "blue", "brand:x"], users)
    case = as_publishable(Case(crowd.data(), crowd.fed(known_users=True), crowd.config(), [], {}))

    def key_of(user: str) -> str:
        return api.service.subjects.of(tenant_id, User(user_id=user))

    current: dict[ArtifactKind, str] = {}
    for kind, content in artifacts_of(case, key_of).items():
        current[kind] = await store_artifact(api.service.blobs, tenant_id, "home", kind, NewArtifact(content, LINEAGE))
    assert (await dev.put(f"{TENANT}/config", json=case.config)).status_code == 200
    await point(api, dev, current)

    for user in users:
        wish = {**crowd.wish(), "user": {"user_id": user}, "context": {"now": NOW.isoformat()}}
        served = await answer(dev, **wish)
        offline = replace(case, wish=wish, subject=user).reference().answer()
        assert [(each["item_id"], each["score"]) for each in served["items"]] == offline
