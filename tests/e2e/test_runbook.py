"""The runbook, word for word, against `recsys serve` with two workers, on both databases."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.shell import in_shell

ADMIN = "/v1/admin/tenants/demo"
RECOMMEND = {"surface": "home", "k": 5, "user": {"user_id": "u1"}}
BAD_RULES = [{"action": "block", "target_type": "tag", "target_key": key} for key in ("a", "b")]


def recommend(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/v1/recommend", json=RECOMMEND)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def every_worker(client: httpx.Client, holds: Callable[[dict[str, Any]], bool], within_s: float = 2) -> float:
    """Seconds until answer after answer, each on a connection of its own (so on any worker), is as it should be."""
    began, good = time.monotonic(), 0
    while good < 12:
        with httpx.Client(base_url=client.base_url, headers=client.headers) as fresh:
            answer = recommend(fresh)
        good = good + 1 if holds(answer) else 0
        assert time.monotonic() - began < within_s + 3, "never converged"
    return time.monotonic() - began


def empty_answers(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("recsys_empty_answers_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


@pytest.mark.parametrize("document", ["config", "rules"])
def test_the_runbook(client: httpx.Client, document: str) -> None:
    version_field = f"{document}_version"
    first = recommend(client)
    assert len(first["items"]) == 5
    good = first["meta"][version_field]
    bad_body: Any = BAD_RULES if document == "rules" else {"weights": {"pop": 5}, "limits": {"fanout": 1}}
    broken = client.put(f"{ADMIN}/{document}", json=bad_body)
    assert broken.status_code == 200
    every_worker(client, lambda answer: answer["meta"][version_field] != good)
    if document == "rules":
        assert recommend(client)["items"] == []
        assert empty_answers(client) > 0

    # 1. What is current, and a failing recommend's meta.
    current = client.get(f"{ADMIN}/{document}")
    bad = current.json()[version_field]
    assert current.headers["ETag"] == f'"{bad}"'
    assert recommend(client)["meta"][version_field] == bad
    # 2. The change that did it, and what was there before.
    entries = client.get(f"{ADMIN}/audit?limit=50").json()["entries"]
    change = next(entry for entry in entries if entry["action"] == f"{document}.update")
    assert change["actor_sub"] == "ann"
    # 3. Put that back. Somebody else was faster: 409, read again, repeat.
    other: Any = [] if document == "rules" else {"weights": {"pop": 9}}
    assert client.put(f"{ADMIN}/{document}", json=other).status_code == 200
    conflict = client.put(f"{ADMIN}/{document}", json=change["before_state"], headers={"If-Match": bad})
    assert conflict.status_code == 409
    assert conflict.headers["Content-Type"].startswith("application/problem+json")
    assert conflict.json()["code"] == "RECSYS_VERSION_MISMATCH"
    current_version = client.get(f"{ADMIN}/{document}").json()[version_field]
    assert conflict.json()["current_version"] == current_version
    back = client.put(f"{ADMIN}/{document}", json=change["before_state"], headers={"If-Match": current_version})
    assert back.status_code == 200
    assert back.json()[version_field] == good
    # 4. Drop caches.
    dropped = client.post(f"{ADMIN}/cache/invalidate", json={"targets": ["config", "rules", "popularity"]})
    assert dropped.status_code in (200, 202)
    # 5. Every answer names the old version again, and is the old answer.
    every_worker(client, lambda answer: answer["meta"][version_field] == good)
    again = recommend(client)
    assert again["items"] == first["items"]
    before = empty_answers(client)
    recommend(client)
    assert empty_answers(client) == before


def test_one_call_brings_everything_back(client: httpx.Client) -> None:
    first = recommend(client)
    client.put(f"{ADMIN}/config", json={"weights": {"pop": 0, "cooc": 1}})
    client.put(f"{ADMIN}/rules", json=BAD_RULES)

    answer = client.post(
        f"{ADMIN}/rollback", json={"revision": first["meta"]["revision"], "reason": "empty lists since noon"}
    )

    assert answer.status_code == 200
    assert [moved["document"] for moved in answer.json()["moved"]] == ["config", "rules"]
    every_worker(client, lambda now: now["items"] == first["items"])
    assert recommend(client)["meta"]["revision"] == answer.json()["revision"]


@pytest.mark.parametrize(
    ("document", "current", "versions", "version_id"),
    [
        ("config", "tenant_configs_current", "tenant_config_versions", "config_version_id"),
        ("rules", "tenant_rules_current", "tenant_rule_versions", "rules_version_id"),
    ],
)
def test_break_glass_through_the_databases_own_shell(
    client: httpx.Client, database_url: str, document: str, current: str, versions: str, version_id: str
) -> None:
    first = recommend(client)
    good = first["meta"][f"{document}_version"]
    client.put(f"{ADMIN}/{document}", json=BAD_RULES if document == "rules" else {"weights": {"cooc": 1}})
    tenant_id = in_shell(database_url, "select id from tenants where external_id = 'demo'")[0]
    listed = in_shell(
        database_url,
        f"select id, etag, created_at from {versions} where tenant_id = '{tenant_id}' order by created_at desc limit 5",
    )
    wanted = next(line.split("|")[0] for line in listed if good in line)
    now = "CURRENT_TIMESTAMP" if database_url.startswith("sqlite") else "now()"

    in_shell(
        database_url,
        f"begin; update {current} set {version_id} = '{wanted}', updated_by_sub = 'break-glass', "
        f"updated_at = {now} where tenant_id = '{tenant_id}'; commit;",
    )

    assert every_worker(client, lambda answer: answer["meta"][f"{document}_version"] == good) < 2
    assert recommend(client)["items"] == first["items"]
    entry = client.get(f"{ADMIN}/audit?limit=1").json()["entries"][0]
    assert (entry["action"], entry["actor_type"], entry["actor_sub"]) == (
        f"{document}.update",
        "break-glass",
        "break-glass",
    )
    assert entry["before_state"] is not None
    assert entry["after_state"] is not None
    ledger = client.get(f"{ADMIN}/history?limit=1").json()["entries"][0]
    assert ledger["revision"] == recommend(client)["meta"]["revision"] == entry["revision"]
