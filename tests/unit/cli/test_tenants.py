"""Settings of a tenant: what each command sends, and the command that a suspended tenant's caller is shown."""

import json

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

TENANT = "/v1/admin/tenants/acme"


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        (("freeze", "acme"), {"frozen": True}),
        (("unfreeze", "acme"), {"frozen": False}),
        (("suspend", "acme"), {"status": "suspended"}),
        (("resume", "acme"), {"status": "active"}),
        (("set", "acme", "--require-if-match"), {"require_if_match": True}),
        (("set", "acme", "--no-require-if-match", "--name", "Acme"), {"require_if_match": False, "name": "Acme"}),
    ],
)
def test_a_command_changes_only_what_it_names(
    service: Service, command: tuple[str, ...], sent: dict[str, object]
) -> None:
    service.on(f"PATCH {TENANT}", httpx.Response(200, json={"external_id": "acme"}))
    result = run("tenant", *command, "--reason", "bill unpaid", "--url", URL)
    assert result.exit_code == 0, result.stderr
    request = service.last("PATCH")
    assert json.loads(request.content) == sent
    assert request.headers["X-Change-Reason"] == "bill unpaid"


def test_set_without_a_setting_is_a_usage_error(service: Service) -> None:
    result = run("tenant", "set", "acme", "--url", URL)
    assert result.exit_code == 2
    assert "--require-if-match" in result.stderr
    assert not service.asked


@pytest.mark.parametrize(
    ("members", "hint"),
    [
        ({"tenant_status": "suspended"}, "recsys tenant resume acme"),
        ({}, "recsys api-key create -t acme --role serving"),
    ],
)
def test_who_may_not_be_served_is_told_what_helps(service: Service, members: dict[str, str], hint: str) -> None:
    problem = {"title": "Forbidden", "detail": "No.", "code": "RECSYS_FORBIDDEN", **members}
    service.on("POST /v1/recommend", httpx.Response(403, json=problem))
    stderr = run("recommend", "-t", "acme", "--url", URL).stderr
    assert hint in stderr
    assert "--platform" not in stderr
