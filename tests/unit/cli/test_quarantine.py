"""quarantine, lift, the override and the labels: what goes out, and the account that comes back."""

import json
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

TENANT = "/v1/admin/tenants/acme"
RULES = f"{TENANT}/rules"
OLD, NEW = "a1" * 32, "b2" * 32
AT = ("-t", "acme", "--url", URL)
WHY = {"at": "2026-03-01T02:55:00Z", "by": "alice", "reason": "empty lists"}
NOW_LIVE = {"code": "CURRENT_QUARANTINED", "detail": "Still live."}
WHERE = f"{RULES}/versions/{OLD}/quarantine"


def _about(quarantined: dict[str, str] | None, *warnings: dict[str, str], changed: bool = True) -> httpx.Response:
    body = {
        "document": "rules",
        "surface": None,
        "version": OLD,
        "quarantined": quarantined,
        "current": bool(warnings),
        "changed": changed,
        "warnings": warnings,
    }
    return httpx.Response(200, json=body)


def _rules(version: str, revision: int, **members: Any) -> httpx.Response:
    body = {
        "tenant_id": "t-1",
        "rules_version": version,
        "revision": revision,
        "updated_at": "2026-03-01T02:55:00Z",
        "updated_by": "alice",
        "quarantined": None,
        "rules": [],
        **members,
    }
    return httpx.Response(200, json=body)


def _entry(labels: list[str], quarantined: list[str]) -> dict[str, Any]:
    return {
        "revision": 41,
        "occurred_at": "2026-03-01T02:55:00Z",
        "actor_sub": "alice",
        "actor_type": "user",
        "action": "rules.update",
        "reason": None,
        "request_id": None,
        "pointers": {"config": None, "rules": OLD, "manifests": {}},
        "labels": labels,
        "quarantined": quarantined,
    }


@pytest.fixture
def rules(service: Service) -> Service:
    page = {
        "versions": [
            {
                "version": version,
                "created_at": "2026-03-01T02:55:00Z",
                "created_by": "bob",
                "comment": None,
                "current": version == NEW,
                "quarantined": WHY if version == OLD else None,
            }
            for version in (NEW, OLD)
        ],
        "next_before": None,
    }
    service.on(f"GET {RULES}/versions", httpx.Response(200, json=page))
    service.on(f"GET {RULES}", _rules(NEW, 7))
    service.on(f"POST {RULES}/rollback", _rules(OLD, 8, changed=True, warnings=[]))
    service.on(f"PUT {RULES}", _rules(NEW, 7, changed=False, warnings=[]))
    return service


def test_a_version_goes_under_quarantine_by_its_beginning_and_with_a_reason(rules: Service) -> None:
    rules.on(f"POST {WHERE}", _about(WHY, NOW_LIVE))
    result = run("rules", "quarantine", OLD[:12], "--reason", "empty lists", *AT)
    assert json.loads(rules.last("POST").content) == {"reason": "empty lists"}
    assert f"rules {OLD} is under quarantine" in result.stdout
    assert "empty lists (alice)" in result.stdout
    assert "! CURRENT_QUARANTINED: Still live." in result.stdout


def test_a_quarantine_without_a_reason_is_not_sent(rules: Service) -> None:
    assert run("rules", "quarantine", OLD, *AT).exit_code == 2
    assert not rules.asked


def test_a_quarantine_is_lifted(rules: Service) -> None:
    rules.on(f"DELETE {WHERE}", _about(None, changed=False))
    result = run("rules", "lift", OLD, "--reason", "tested", *AT)
    assert rules.last("DELETE").headers["X-Change-Reason"] == "tested"
    assert f"rules {OLD} is not under quarantine already" in result.stdout


def test_what_is_under_quarantine_is_listed_and_marked(rules: Service) -> None:
    listed = [{"document": "manifest", "surface": "home", "version": OLD, **WHY}]
    rules.on(f"GET {TENANT}/quarantine", *(httpx.Response(200, json={"quarantined": each}) for each in (listed, [])))
    shown = run("quarantine", *AT).stdout
    for part in ("manifest home", OLD[:12], "2026-03-01 02:55:00Z", "alice", "empty lists"):
        assert part in shown
    assert "Nothing is under quarantine." in run("quarantine", *AT).stdout
    assert "empty lists (alice)" in run("rules", "versions", *AT).stdout
    rules.on(f"GET {RULES}", _rules(OLD, 7, quarantined=WHY))
    assert "empty lists (alice)" in run("rules", "get", *AT).stderr


@pytest.mark.parametrize("group", [("rules",), ()])
def test_a_rollback_says_what_it_leaves_is_bad_and_why_a_quarantine_does_not_count(
    rules: Service, group: tuple[str, ...]
) -> None:
    notice = {"code": "QUARANTINED", "detail": f"The rules version {NEW} is under quarantine."}
    tenant = {"tenant_id": "t", "revision": 8, "changed": True, "moved": [], "warnings": [notice]}
    rules.on(f"POST {TENANT}/rollback", httpx.Response(200, json=tenant))
    rules.on(f"POST {RULES}/rollback", _rules(OLD, 8, changed=True, warnings=[notice]))
    result = run(*group, "rollback", "--revision", "3", "--quarantine", "--override-quarantine", "tested", *AT)
    sent = rules.last("POST")
    assert json.loads(sent.content) == {"revision": 3, "quarantine": True}
    assert sent.headers["X-Override-Quarantine"] == "tested"
    assert f"! QUARANTINED: The rules version {NEW} is under quarantine." in result.stdout
    run(*group, "rollback", "--revision", "3", *AT)
    assert json.loads(rules.last("POST").content) == {"revision": 3}
    assert "X-Override-Quarantine" not in rules.last("POST").headers


def test_a_put_says_why_a_quarantine_does_not_count(rules: Service) -> None:
    assert run("rules", "put", "-", "--override-quarantine", "größer", *AT, text="[]").exit_code == 0
    assert rules.last("PUT").headers["X-Override-Quarantine"] == "größer"
    assert run("rules", "put", "-", "--override-quarantine", "a\nb", *AT, text="[]").exit_code == 2
    assert run("rules", "put", "-", *AT, text="[]").exit_code == 0
    assert "X-Override-Quarantine" not in rules.last("PUT").headers


def test_a_refusal_names_both_ways_on(rules: Service) -> None:
    named = {"document": "manifest", "surface": "home", "version": OLD, **WHY}
    problem = {
        "title": "Version quarantined",
        "status": 422,
        "detail": f"The manifest/home version {OLD} is under quarantine.",
        "code": "RECSYS_VERSION_QUARANTINED",
        "quarantined": [named],
    }
    rules.on(f"POST {TENANT}/rollback", httpx.Response(422, json=problem))
    result = run("rollback", "--revision", "3", *AT)
    assert result.exit_code == 1
    assert f"recsys manifest lift -t acme --surface home {OLD[:12]}" in result.stderr
    assert "--override-quarantine" in result.stderr
    assert "recsys quarantine -t acme" in result.stderr


def test_a_label_comes_off_again(service: Service) -> None:
    path = f"{TENANT}/history/41/labels/known_good"
    service.on(f"PUT {path}", httpx.Response(200, json=_entry(["known_good"], [])))
    service.on(f"DELETE {path}", httpx.Response(200, json=_entry([], [])))
    assert "revision 41 of acme is labelled known_good" in run("label", "41", *AT).stdout
    assert "revision 41 of acme has no label" in run("unlabel", "41", "--reason", "it was not", *AT).stdout
    assert service.last("DELETE").headers["X-Change-Reason"] == "it was not"
    assert run("unlabel", "41", "other", *AT).exit_code == 2


def test_history_shows_labels_and_what_is_under_quarantine(service: Service) -> None:
    page = {"entries": [_entry(["known_good"], ["rules"])], "next_before": None}
    service.on(f"GET {TENANT}/history", httpx.Response(200, json=page))
    heading, row = run("history", *AT).stdout.splitlines()
    assert row[heading.index("labels") :].split() == ["known_good", "rules"]
    assert "quarantined" in heading
