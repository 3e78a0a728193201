"""What a person reads when the service refuses."""

from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

CONFIG = "/v1/admin/tenants/acme/config"


def _problem(status: int, code: str, **members: Any) -> httpx.Response:
    words = code.removeprefix("RECSYS_").replace("_", " ").capitalize()
    body = {"title": words, "status": status, "detail": "What happened.", "code": code, "request_id": "r-1", **members}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


def test_every_fault_is_shown_with_its_place_and_what_was_meant(service: Service) -> None:
    faults = [
        {"pointer": "/weights/coc", "detail": "Unknown field.", "did_you_mean": "cooc"},
        {"pointer": "", "detail": "Too much.", "line": 7},
    ]
    service.on(f"GET {CONFIG}", _problem(400, "RECSYS_INVALID_REQUEST", errors=faults))
    result = run("config", "get", "-t", "acme", "--url", URL)
    assert result.exit_code == 1
    assert "400 Invalid request" in result.stderr
    assert "/weights/coc: Unknown field. Did you mean 'cooc'?" in result.stderr
    assert "line 7 (whole document): Too much." in result.stderr
    assert "code RECSYS_INVALID_REQUEST · request_id r-1" in result.stderr
    assert result.stdout == ""


def test_with_json_the_problem_document_goes_to_standard_output(service: Service) -> None:
    answer = _problem(404, "RECSYS_TENANT_NOT_FOUND")
    service.on(f"GET {CONFIG}", answer)
    result = run("config", "get", "-t", "acme", "--json", "--url", URL)
    assert result.exit_code == 1
    assert result.stdout == answer.text + "\n"
    assert "recsys tenant list" in result.stderr


@pytest.mark.parametrize(
    ("code", "status", "hint"),
    [
        ("RECSYS_UNAUTHENTICATED", 401, "--api-key"),
        ("RECSYS_FROZEN", 423, "recsys tenant unfreeze acme"),
        ("RECSYS_OVERLOADED", 503, "Try again"),
        ("RECSYS_PRECONDITION_REQUIRED", 428, "recsys config get -t acme -o FILE"),
        ("RECSYS_VERSION_NOT_FOUND", 404, "recsys config versions -t acme"),
        ("RECSYS_CONFIG_NOT_FOUND", 404, "recsys config put -t acme FILE"),
        ("RECSYS_FORBIDDEN", 403, "recsys api-key create -t acme --role"),
        ("RECSYS_PAYLOAD_TOO_LARGE", 413, "RECSYS_MAX_LOAD_BYTES"),
        ("RECSYS_NOT_READY", 503, f"curl {URL}/health/detailed"),
        ("RECSYS_NOT_READY", 503, "docs/runbook.md"),
    ],
)
def test_a_refusal_says_what_to_do(service: Service, code: str, status: int, hint: str) -> None:
    service.on(f"GET {CONFIG}", _problem(status, code))
    assert hint in run("config", "get", "-t", "acme", "--url", URL).stderr


def test_who_is_held_up_is_not_sent_to_where_no_lock_is_shown(service: Service) -> None:
    service.on(f"GET {CONFIG}", _problem(503, "RECSYS_OVERLOADED"))
    said = run("config", "get", "-t", "acme", "--url", URL).stderr
    assert 'docs/runbook.md, "A transaction left open"' in said
    assert "health" not in said


def test_events_that_have_to_wait_wait_for_no_transaction(service: Service) -> None:
    service.on("POST /v1/events", _problem(503, "RECSYS_OVERLOADED"))
    said = run("events", "send", "-", "-t", "acme", "--url", URL, text="{}").stderr
    assert "Send the file again" in said
    assert "transaction" not in said


def test_a_hint_about_a_manifest_names_its_surface(service: Service) -> None:
    service.on("GET /v1/admin/tenants/acme/manifests/home", _problem(404, "RECSYS_VERSION_NOT_FOUND"))
    stderr = run("manifest", "get", "-t", "acme", "-s", "home", "--url", URL).stderr
    assert "recsys manifest versions -t acme --surface home" in stderr


def test_an_answer_that_is_not_from_recsys_is_quoted(service: Service) -> None:
    service.on(f"GET {CONFIG}", httpx.Response(502, text="<html>Bad  gateway</html>"))
    result = run("config", "get", "-t", "acme", "--url", URL)
    assert result.exit_code == 1
    assert "502 Bad Gateway" in result.stderr
    assert "<html>Bad gateway</html> (This answer did not come from RecSys" in result.stderr


def test_square_brackets_in_a_message_are_not_taken_for_markup(service: Service) -> None:
    service.on(f"GET {CONFIG}", _problem(400, "RECSYS_INVALID_REQUEST", detail="See [bold]this[/bold] and [/x]."))
    assert "See [bold]this[/bold] and [/x]." in run("config", "get", "-t", "acme", "--url", URL).stderr


@pytest.mark.parametrize(
    ("command", "path", "hint"),
    [
        (("rollback", "--to", "known_good"), "POST /v1/admin/tenants/acme/rollback", "No revision is labelled yet"),
        (("rollback", "--revision", "41"), "POST /v1/admin/tenants/acme/rollback", "recsys history -t acme"),
        (("label", "99"), "PUT /v1/admin/tenants/acme/history/99/labels/known_good", "recsys history -t acme"),
    ],
)
def test_a_state_that_is_not_there_points_to_the_ledger(
    service: Service, command: tuple[str, ...], path: str, hint: str
) -> None:
    service.on(path, _problem(404, "RECSYS_VERSION_NOT_FOUND"))
    assert hint in run(*command, "-t", "acme", "--url", URL).stderr


def test_a_time_that_is_none_is_answered_with_an_example(service: Service) -> None:
    fault = {"pointer": "/at", "detail": "Invalid RFC3339 encoded datetime."}
    service.on("POST /v1/admin/tenants/acme/rollback", _problem(400, "RECSYS_INVALID_REQUEST", errors=[fault]))
    assert "2026-03-01T02:55:00Z" in run("rollback", "--at", "3 a.m.", "-t", "acme", "--url", URL).stderr


def test_a_byte_order_mark_is_named(service: Service) -> None:
    service.on(f"GET {CONFIG}", _problem(404, "RECSYS_CONFIG_NOT_FOUND"))
    service.on(f"PUT {CONFIG}", _problem(400, "RECSYS_INVALID_REQUEST"))
    assert "without a BOM" in run("config", "put", "-", "-t", "acme", "--url", URL, text="\ufeff{}").stderr


def test_a_byte_order_mark_of_rows_is_no_fault(service: Service) -> None:
    service.on("PUT /v1/admin/tenants/acme/items", _problem(400, "RECSYS_INVALID_REQUEST"))
    command = ("items", "load", "-", "--format", "csv", "-t", "acme", "-s", "home", "--url", URL)
    assert "BOM" not in run(*command, text="\ufeffitem_id;price\n").stderr


@pytest.mark.parametrize(
    ("detail", "place"),
    [
        ("If-Match: 'x' is malformed.", "(header)"),
        ("X-Change-Reason has no control characters.", "(header)"),
        ("query parameter before: no time.", "(URL)"),
        ("Too much.", "(whole document)"),
    ],
)
def test_a_fault_without_a_pointer_says_which_part_it_is_about(service: Service, detail: str, place: str) -> None:
    service.on(f"GET {CONFIG}", _problem(400, "RECSYS_INVALID_REQUEST", errors=[{"pointer": "", "detail": detail}]))
    assert f"{place}: {detail}" in run("config", "get", "-t", "acme", "--url", URL).stderr
