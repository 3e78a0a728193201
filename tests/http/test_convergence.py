"""Receipts and the list of replicas, with one replica in this process and others that only have a row."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from recsys.domain.errors import NotReady
from recsys.domain.ports import ReplicaRegistry
from tests.http.conftest import Api, assert_problem

TENANT = "/v1/admin/tenants/demo"
CONFIG = f"{TENANT}/config"


async def test_a_rollback_carries_a_receipt_with_this_replica(api: Api, dev: httpx.AsyncClient) -> None:
    first = (await dev.put(CONFIG, json={"weights": {"pop": 1}})).json()
    await dev.put(CONFIG, json={"weights": {"pop": 2}})

    answer = (await dev.post(f"{CONFIG}/rollback", json={"to": first["config_version"]})).json()

    receipt = answer["receipt"]
    assert (receipt["converged"], receipt["reason"]) == (True, None)
    (replica,) = receipt["replicas"]
    health = (await dev.get("/health/detailed")).json()["replica"]
    assert replica["id"] == health["id"]
    assert replica["pid"] > 0
    assert (replica["status"], replica["revision"]) == ("converged", 3)
    assert replica["took_ms"] <= receipt["waited_ms"]


async def test_tenant_rollbacks_wait_unless_told_and_say_it_again_when_nothing_changed(dev: httpx.AsyncClient) -> None:
    await dev.put(CONFIG, json={"weights": {"pop": 1}})
    await dev.put(CONFIG, json={"weights": {"pop": 2}})

    moved = (await dev.post(f"{TENANT}/rollback", json={"revision": 1})).json()
    again = (await dev.post(f"{TENANT}/rollback", json={"revision": 1})).json()
    quick = (await dev.post(f"{TENANT}/rollback?wait=none", json={"revision": 2})).json()

    assert (moved["changed"], moved["receipt"]["converged"]) == (True, True)
    assert (again["changed"], again["receipt"]["converged"]) == (False, True)
    assert quick["changed"]
    assert "receipt" not in quick


async def test_a_put_waits_only_when_told(dev: httpx.AsyncClient) -> None:
    assert "receipt" not in (await dev.put(CONFIG, json={})).json()
    told = (await dev.put(f"{CONFIG}?wait=converged", json={"weights": {"pop": 2}})).json()
    assert told["receipt"]["converged"]


@pytest.mark.parametrize("path", [f"{CONFIG}/rollback", f"{TENANT}/rollback"])
async def test_an_unknown_wait_is_refused_before_anything_changes(dev: httpx.AsyncClient, path: str) -> None:
    await dev.put(CONFIG, json={})
    problem = assert_problem(
        await dev.post(f"{path}?wait=forever", json={"revision": 0}), 400, "RECSYS_INVALID_REQUEST"
    )
    assert "wait" in problem["detail"]
    assert "'forever'" in problem["detail"]
    assert_problem(await dev.put(f"{CONFIG}?wait=1", json={"weights": {"pop": 9}}), 400, "RECSYS_INVALID_REQUEST")
    assert (await dev.get(TENANT)).json()["revision"] == 1


async def test_a_replica_that_does_not_follow_is_named_and_the_change_is_made_all_the_same(
    api: Api, dev: httpx.AsyncClient
) -> None:
    await dev.put(CONFIG, json={})
    silent, behind = ghost(api, age_s=20), ghost(api, age_s=0.2)

    answer = (await dev.post(f"{CONFIG}/rollback", json={"revision": 0})).json()

    assert (answer["changed"], answer["config_version"]) == (True, None)
    receipt = answer["receipt"]
    assert not receipt["converged"]
    assert receipt["waited_ms"] >= 2_000
    statuses = {each["id"]: (each["status"], each["took_ms"]) for each in receipt["replicas"]}
    assert statuses[silent] == ("silent", None)
    assert statuses[behind] == ("behind", None)
    assert sorted(status for status, _ in statuses.values()) == ["behind", "converged", "silent"]


async def test_a_replica_that_cannot_read_the_document_says_so(api: Api, dev: httpx.AsyncClient) -> None:
    await dev.put(CONFIG, json={})
    tenant_id = (await dev.get(TENANT)).json()["id"]
    old_code = ghost(
        api, tenants=f'{{"{tenant_id}":{{"revision":9,"data_revision":0,"invalidations":0,"incompatible":"config"}}}}'
    )

    receipt = (await dev.post(f"{CONFIG}/rollback", json={"revision": 0})).json()["receipt"]

    found = next(each for each in receipt["replicas"] if each["id"] == old_code)
    assert (receipt["converged"], found["status"], found["incompatible"]) == (False, "incompatible", "config")


async def test_an_invalidation_stays_requested_until_the_last_replica_followed(
    api: Api, dev: httpx.AsyncClient
) -> None:
    await dev.put(CONFIG, json={})
    done = (await dev.post(f"{TENANT}/cache/invalidate", json={"targets": ["config", "rules"]})).json()
    assert (done["status"], done["invalidated"]) == ("applied", {"config": 1, "rules": 0})
    assert done["receipt"]["converged"]

    late = ghost(api)
    open_ = (await dev.post(f"{TENANT}/cache/invalidate", json={"targets": ["config"]})).json()
    assert (open_["status"], open_["receipt"]["converged"]) == ("requested", False)
    with database(api) as connection:
        connection.execute("delete from replicas where id = ?", (late,))
    for _ in range(100):
        await dev.get("/healthz")
        if event(api, open_["event_id"])[0] == "applied":
            break
        await wait_a_little()
    assert event(api, open_["event_id"])[0] == "applied", "a later heartbeat records it"
    assert all(event(api, each["event_id"])[1] for each in (done, open_))


async def test_without_the_database_a_receipt_says_why_it_knows_nothing(
    api: Api, dev: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: ReplicaRegistry) -> None:
        raise NotReady

    await dev.put(CONFIG, json={})
    monkeypatch.setattr(type(api.service.registry), "roster", gone)

    answer = await dev.post(f"{CONFIG}/rollback", json={"revision": 0})

    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    receipt = answer.json()["receipt"]
    assert (receipt["converged"], receipt["replicas"]) == (False, [])
    assert "the change is made" in receipt["reason"]


async def test_everybody_of_a_tenant_sees_the_replicas_but_no_other_tenant(
    api: Api, dev: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    await dev.post("/v1/admin/tenants", json={"external_id": "other"})
    mine, other = [(await dev.get(f"/v1/admin/tenants/{name}")).json()["id"] for name in ("demo", "other")]
    said = '{"revision":1,"data_revision":1,"invalidations":0,"incompatible":null}'
    late = ghost(api, age_s=10, tenants=f'{{"{mine}":{said},"{other}":{said}}}')
    seen: dict[str, Any] = {}
    for role in ("viewer", "platform"):
        async with api.client(**{"X-API-Key": keys[role]}) as client:
            answer = await client.get("/v1/admin/replicas")
            assert answer.status_code == 200
            seen[role] = next(each for each in answer.json()["replicas"] if each["id"] == late)
    assert list(seen["viewer"]["tenants"]) == [mine]
    assert sorted(seen["platform"]["tenants"]) == sorted([mine, other])
    assert (seen["viewer"]["status"], seen["viewer"]["host"]) == ("silent", "elsewhere")
    assert 9_000 < seen["viewer"]["heartbeat_age_ms"] < 20_000
    async with api.client(**{"X-API-Key": keys["serving"]}) as client:
        assert_problem(await client.get("/v1/admin/replicas"), 403, "RECSYS_FORBIDDEN")


async def test_a_clean_stop_takes_the_row_away(api: Api, dev: httpx.AsyncClient) -> None:
    assert len((await dev.get("/v1/admin/replicas")).json()["replicas"]) == 1
    await api.service.replica.stop()
    with database(api) as connection:
        assert connection.execute("select count(*) from replicas").fetchone() == (0,)


def ghost(api: Api, *, age_s: float = 0.0, tenants: str = "{}") -> str:
    """A row of a replica that is not there, as old as said."""
    replica_id = str(uuid.uuid4())
    at = (datetime.now(UTC) - timedelta(seconds=age_s)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with database(api) as connection:
        connection.execute(
            "insert into replicas values (?, 'elsewhere', 1, '0', ?, ?, ?, ?)", (replica_id, at, at, at, tenants)
        )
    return replica_id


def event(api: Api, event_id: int) -> Any:
    with database(api) as connection:
        query = "select status, applied_at from cache_invalidation_events where id = ?"
        return connection.execute(query, (event_id,)).fetchone()


@contextmanager
def database(api: Api) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(api.database_file, timeout=10)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


async def wait_a_little() -> None:
    await asyncio.sleep(0.05)
