"""The audit log over HTTP: paging, who sees states, what an entry tells."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from recsys.domain.audit import AuditEntry
from recsys.service import audit
from recsys.storage import reader, rows
from tests.http.conftest import Api

TENANT = "/v1/admin/tenants/demo"
CONFIG, AUDIT = f"{TENANT}/config", f"{TENANT}/audit"


async def test_every_entry_once_page_by_page(dev: httpx.AsyncClient) -> None:
    for n in range(1, 8):
        await dev.put(CONFIG, json={"weights": {"pop": n}})
    whole = (await dev.get(AUDIT)).json()
    assert whole["next_before"] is whole["next_before_id"] is None
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await dev.get(AUDIT, params={"limit": 3, **cursor})).json()
        seen += [entry["id"] for entry in page["entries"]]
        if page["next_before"] is None:
            break
        cursor = {"before": page["next_before"], "before_id": page["next_before_id"]}
    assert seen == [entry["id"] for entry in whole["entries"]] == sorted(seen, reverse=True)
    assert len(seen) == 8  # the tenant's creation is one


async def test_a_page_with_large_states_ends_early_and_the_next_goes_on(
    dev: httpx.AsyncClient, api: Api, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await dev.put(CONFIG, json={"guard": {"note": "x" * 1_000, "n": n}})
    whole = (await dev.get(AUDIT)).json()["entries"]
    for module in (reader, audit):
        monkeypatch.setattr(module, "STATES_AT_ONCE", 3_500)

    pages: list[list[int]] = []
    cursor: dict[str, Any] = {}
    while cursor.get("before", "") is not None:
        page = (await dev.get(AUDIT, params=cursor)).json()
        pages.append([entry["id"] for entry in page["entries"]])
        cursor = {"before": page["next_before"], "before_id": page["next_before_id"]}
    assert [each for page in pages for each in page] == [entry["id"] for entry in whole]
    assert [len(page) for page in pages[:3]] == [2, 2, len(whole) - 4]

    async with api.client(**{"X-API-Key": keys["viewer"]}) as viewer:
        page = (await viewer.get(AUDIT)).json()
    assert len(page["entries"]) == len(whole)  # who sees no states is not told of their size
    assert page["next_before"] is None


async def test_states_that_may_not_be_seen_are_not_read(
    api: Api, dev: httpx.AsyncClient, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await dev.put(CONFIG, json={"weights": {"pop": 1}})
    found: list[AuditEntry] = []
    to_entry = rows.to_audit_entry

    def note(row: Any) -> AuditEntry:
        found.append(to_entry(row))
        return found[-1]

    monkeypatch.setattr(rows, "to_audit_entry", note)
    for role, are_read in {"viewer": False, "responder": True}.items():
        found.clear()
        async with api.client(**{"X-API-Key": keys[role]}) as client:
            await client.get(AUDIT)
        assert any(entry.after_state is not None for entry in found) == are_read, role


async def test_a_limit_beyond_the_most_is_clamped(dev: httpx.AsyncClient) -> None:
    assert (await dev.get(AUDIT, params={"limit": 10**6})).status_code == 200


async def test_states_are_for_responders_and_up(api: Api, dev: httpx.AsyncClient, keys: dict[str, str]) -> None:
    await dev.put(CONFIG, json={"weights": {"pop": 1}})
    await dev.put(CONFIG, json={"weights": {"pop": 2}})
    for role, shown in {"viewer": False, "platform": False, "responder": True, "operator": True, "admin": True}.items():
        async with api.client(**{"X-API-Key": keys[role]}) as client:
            entry = (await client.get(AUDIT)).json()["entries"][0]
        assert ("before_state" in entry, "after_state" in entry) == (shown, shown), role
        if shown:
            assert entry["before_state"] == {"weights": {"pop": 1}}
            assert entry["after_state"] == {"weights": {"pop": 2}}


async def test_an_entry_tells_who_from_where_and_why(api: Api, dev: httpx.AsyncClient) -> None:
    headers = {"X-Request-Id": "abc-1", "User-Agent": "x" * 1_000, "X-Change-Reason": "sale"}
    await dev.put(CONFIG, json={}, headers=headers)
    entry = (await dev.get(AUDIT)).json()["entries"][0]
    assert (entry["action"], entry["entity_type"], entry["revision"]) == ("config.update", "config", 1)
    assert (entry["actor_sub"], entry["actor_type"]) == ("dev", "user")
    assert (entry["request_id"], entry["ip"], entry["user_agent"]) == ("abc-1", "10.1.2.3", "x" * 256)
    assert "sale" in str(entry)


async def test_a_state_can_be_put_back(dev: httpx.AsyncClient) -> None:
    first = (await dev.put(CONFIG, json={"weights": {"pop": 1}})).json()
    await dev.put(CONFIG, json={"weights": {"pop": 2}})
    state = (await dev.get(AUDIT)).json()["entries"][0]["before_state"]
    assert (await dev.put(CONFIG, json=state)).json()["config_version"] == first["config_version"]
