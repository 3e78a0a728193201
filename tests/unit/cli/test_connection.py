"""Where a request goes, with what in its headers, and what is said when there is no answer."""

import json

import httpx
import pytest

from recsys.cli.connection import Target, network_client
from recsys.cli.database import database_errors, sqlite_file, without_password
from recsys.cli.failure import Failure
from recsys.domain.errors import NotReady
from tests.unit.cli.conftest import URL, Service, run

TENANTS: dict[str, object] = {"tenants": [], "next_after": None}


def test_a_key_goes_into_its_header_and_without_one_a_service_nearby_learns_the_user() -> None:
    with_key = network_client(Target(url="http://127.0.0.1:8080", api_key="rsk_1"))
    nearby = network_client(Target(url="http://localhost:8080"))
    far = network_client(Target(url="http://service.test"))
    assert with_key.headers["X-API-Key"] == "rsk_1"
    assert "X-Dev-User-Id" not in with_key.headers
    assert nearby.headers["X-Dev-User-Id"]
    assert "X-Dev-User-Id" not in far.headers


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://host:port", ""])
def test_what_is_no_address_of_a_service_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(Failure) as caught:
        network_client(Target(url=url))
    assert "http://127.0.0.1:8080" in caught.value.hints[0]


def test_neither_service_nor_database_is_a_usage_error_that_names_both(service: Service) -> None:
    result = run("tenant", "list")
    assert result.exit_code == 2
    assert "--url" in result.stderr
    assert "--db" in result.stderr


def test_service_and_database_together_is_a_usage_error(service: Service) -> None:
    result = run("tenant", "list", "--url", URL, "--db", "sqlite:///x.db")
    assert result.exit_code == 2
    assert not service.asked


def test_an_option_beats_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_URL", URL)
    result = run("tenant", "list", "--db", "sqlite:///nowhere/none.db")
    assert result.exit_code == 1
    assert "There is no database at nowhere/none.db" in result.stderr
    assert not service.asked


def test_the_environment_is_enough(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_URL", URL)
    monkeypatch.setenv("RECSYS_API_KEY", "rsk_2")
    service.on("GET /v1/admin/tenants", httpx.Response(200, json=TENANTS))
    assert run("tenant", "list").exit_code == 0
    assert service.last("GET").headers["X-API-Key"] == "rsk_2"


def _raise(error: Exception) -> httpx.Response:
    raise error


def test_nobody_answering_says_what_to_check(service: Service) -> None:
    service.on("GET /v1/admin/tenants", lambda _: _raise(httpx.ConnectError("refused")))
    result = run("tenant", "list", "--url", URL)
    assert result.exit_code == 1
    assert f"Nobody answers at {URL}: refused." in result.stderr
    assert f"curl {URL}/healthz" in result.stderr
    assert "--db" in result.stderr


def test_a_change_without_an_answer_says_that_it_may_have_happened(service: Service) -> None:
    service.on("PATCH /v1/admin/tenants/acme", lambda _: _raise(httpx.ReadTimeout("")))
    result = run("tenant", "freeze", "acme", "--url", URL)
    assert result.exit_code == 1
    assert "did not answer within 30 s" in result.stderr
    assert "Look before you repeat it: recsys audit -t acme" in result.stderr


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (("items", "load", "-", "--format", "csv", "-s", "home"), "PUT /v1/admin/tenants/acme/items"),
        (("signals", "load", "cooc", "-", "--format", "csv", "-s", "home"), "PUT /v1/admin/tenants/acme/signals/cooc"),
        (("events", "send", "-"), "POST /v1/events"),
        (("invalidate",), "POST /v1/admin/tenants/acme/cache/invalidate"),
    ],
)
def test_what_counts_once_can_be_sent_again_when_the_connection_broke(
    service: Service, command: tuple[str, ...], path: str
) -> None:
    service.on(path, lambda _: _raise(httpx.RemoteProtocolError("cut off")))
    said = run(*command, "-t", "acme", "--url", URL, text="{}").stderr
    assert "Do it again: nothing counts twice." in said
    assert "Look before" not in said


@pytest.mark.parametrize(
    ("command", "path", "look"),
    [
        (("tenant", "create", "acme"), "POST /v1/admin/tenants", "recsys tenant list"),
        (("api-key", "create", "--platform"), "POST /v1/admin/api-keys", "recsys api-key list --platform"),
    ],
)
def test_what_no_tenant_s_audit_shows_is_looked_for_where_it_is(
    service: Service, command: tuple[str, ...], path: str, look: str
) -> None:
    service.on(path, lambda _: _raise(httpx.ReadTimeout("")))
    assert f"Look before you repeat it: {look}" in run(*command, "--url", URL).stderr


def test_a_recommendation_that_did_not_come_is_no_change(service: Service) -> None:
    service.on("POST /v1/recommend", lambda _: _raise(httpx.ReadTimeout("")))
    said = run("recommend", "-t", "acme", "--url", URL).stderr
    assert "Try again." in said
    assert "change" not in said


def test_a_broken_connection_while_reading_says_try_again(service: Service) -> None:
    service.on("GET /v1/admin/tenants", lambda _: _raise(httpx.RemoteProtocolError("cut off")))
    result = run("tenant", "list", "--url", URL)
    assert result.exit_code == 1
    assert "cut off" in result.stderr
    assert "Try again" in result.stderr


def test_a_broken_connection_ends_with_one_full_stop(service: Service) -> None:
    service.on("GET /v1/admin/tenants", lambda _: _raise(httpx.RemoteProtocolError("without a response.")))
    assert "without a response.\n" in run("tenant", "list", "--url", URL).stderr


@pytest.mark.parametrize("reason", ["a\nb", "a\tb", "a\x7f"])
@pytest.mark.parametrize(
    "command",
    [
        ("tenant", "freeze", "acme"),
        ("config", "put", "-", "-t", "acme"),
        ("config", "rollback", "--steps", "1", "-t", "acme"),
        ("rollback", "--to", "known_good", "-t", "acme"),
        ("label", "1", "-t", "acme"),
    ],
)
def test_a_reason_that_no_header_can_hold_is_refused_before_anything_is_sent(
    service: Service, command: tuple[str, ...], reason: str
) -> None:
    result = run(*command, "-m", reason, "--url", URL, text="{}")
    assert result.exit_code == 2
    assert "one line without control characters" in result.stderr
    assert not service.asked


def test_a_key_that_no_header_can_hold_is_refused_before_anything_is_sent(service: Service) -> None:
    result = run("tenant", "list", "--api-key", "rsk_1\nrsk_2", "--url", URL)
    assert result.exit_code == 2
    assert "--api-key" in result.stderr
    assert "not known" not in result.stderr
    assert not service.asked


def test_a_bad_address_is_a_usage_error(service: Service) -> None:
    assert run("tenant", "list", "--url", "localhost:8080").exit_code == 2


@pytest.mark.parametrize("db", ["sqlite:///", "sqlite://", "sqlite:///?x=1"])
def test_a_sqlite_url_without_a_file_is_a_usage_error(service: Service, db: str) -> None:
    for command in (("tenant", "list"), ("migrate", "up"), ("migrate", "status"), ("serve",)):
        result = run(*command, "--db", db)
        assert result.exit_code == 2
        assert "names no file" in result.stderr


def test_a_database_that_cannot_be_reached_is_not_called_a_service(service: Service) -> None:
    result = run("tenant", "list", "--db", "postgresql://me:secret@127.0.0.1:1/x")
    assert result.exit_code == 1
    assert "The database postgresql://me@127.0.0.1:1/x cannot be reached: " in result.stderr
    assert "host, port, user and password" in result.stderr
    assert "service" not in result.stderr


NAMES = ("surface", "segment", "config_version", "rules_version", "manifest_version", "revision", "data_revision")
META = {**dict.fromkeys(NAMES), "tenant_id": "0199"}
NOTHING = {"items": [], "warnings": [], "meta": META}


def test_the_tenant_asked_for_stands_beside_the_one_that_was_served(service: Service) -> None:
    service.on("POST /v1/recommend", httpx.Response(200, json=NOTHING))
    assert "acme (0199)" in run("recommend", "-t", "acme", "--url", URL).stdout


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), None),
        (("--why-not", "i9"), {"explain_item": "i9"}),
        (("--explain",), {"explain": "summary", "include_reasons": True}),
        (
            ("--explain", "--why-not", "i9"),
            {"explain": "summary", "include_reasons": True, "explain_item": "i9"},
        ),
    ],
)
def test_recommend_asks_for_explanations_only_when_told(
    service: Service, options: tuple[str, ...], asked: dict[str, object] | None
) -> None:
    service.on("POST /v1/recommend", httpx.Response(200, json=NOTHING))
    run("recommend", "-t", "acme", *options, "--url", URL)
    assert json.loads(service.last("POST").content).get("options") == asked


def test_why_not_is_told_below_the_list(service: Service) -> None:
    said = {"item_id": "i9", "rules": [], "outcome": "below_top_k", "rank": 12, "detail": "Rank 12 by score; k is 10."}
    service.on("POST /v1/recommend", httpx.Response(200, json=NOTHING | {"explain_item": said}))
    shown = run("recommend", "-t", "acme", "--why-not", "i9", "--url", URL).stdout
    assert "i9: below_top_k  Rank 12 by score; k is 10." in shown


def test_json_is_the_answer_to_the_byte(service: Service) -> None:
    body = json.dumps(TENANTS, indent=3)
    service.on("GET /v1/admin/tenants", httpx.Response(200, text=body))
    assert run("tenant", "list", "--json", "--url", URL).stdout == body + "\n"


def test_a_reason_keeps_its_umlauts(service: Service) -> None:
    answer = {"id": "1", "external_id": "acme", "frozen": True}
    service.on("PATCH /v1/admin/tenants/acme", httpx.Response(200, json=answer))
    assert run("tenant", "freeze", "acme", "--reason", "zurück", "--url", URL).exit_code == 0
    sent = dict(service.last("PATCH").headers.raw)
    assert sent[b"X-Change-Reason"] == "zurück".encode()


@pytest.mark.parametrize(
    ("db", "file"),
    [
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////a/b.db?x=1", "/a/b.db"),
        ("sqlite:///:memory:", None),
        ("postgresql://h/d", None),
    ],
)
def test_the_file_of_a_sqlite_url(db: str, file: str | None) -> None:
    found = sqlite_file(db)
    assert (str(found) if found else None) == file


def test_a_password_is_not_shown() -> None:
    assert without_password("postgresql://me:secret@host/db") == "postgresql://me@host/db"
    assert without_password("sqlite:///x.db") == "sqlite:///x.db"


def test_parameters_that_are_none_are_left_out(service: Service) -> None:
    service.on("GET /v1/admin/tenants", httpx.Response(200, json=TENANTS))
    run("tenant", "list", "--url", URL)
    assert str(service.last("GET").url) == f"{URL}/v1/admin/tenants?limit=100"


def test_a_database_that_does_not_answer_is_said_to_give_no_answer() -> None:
    with pytest.raises(Failure, match="cannot be reached: no answer"), database_errors("postgresql://me@here/x"):
        raise NotReady from TimeoutError()
