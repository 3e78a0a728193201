"""put, get, diff and rollback: the preconditions that go out, and the account that comes back."""

import json
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

CONFIG = "/v1/admin/tenants/acme/config"
OLD, NEW = "a1" * 32, "b2" * 32
AT = ("-t", "acme", "--url", URL)


def _config(version: str | None, revision: int, **members: Any) -> httpx.Response:
    body = {
        "tenant_id": "t-1",
        "config_version": version,
        "revision": revision,
        "updated_at": "2026-03-01T02:55:00Z",
        "updated_by": "alice",
        "config": {"weights": {"pop": 1}},
        **members,
    }
    return httpx.Response(200, json=body)


def _changed(version: str | None = NEW, revision: int = 8) -> httpx.Response:
    return _config(version, revision, changed=True, warnings=[{"code": "W", "detail": "Careful.", "pointer": "/x"}])


NOT_FOUND = httpx.Response(404, json={"title": "x", "detail": "y", "code": "RECSYS_CONFIG_NOT_FOUND"})
DIFF = httpx.Response(
    200,
    json={
        "from": OLD,
        "to": NEW,
        "differences": [
            {"op": "changed", "pointer": "/weights/pop", "before": 1, "after": 2},
            {"op": "added", "pointer": "/flags", "after": {"x": True}},
        ],
        "total": 1_002,
    },
)


@pytest.fixture
def config(service: Service) -> Service:
    service.on(f"GET {CONFIG}", _config(OLD, 7))
    service.on(f"PUT {CONFIG}", _changed())
    service.on(f"GET {CONFIG}/diff", DIFF)
    service.on(f"POST {CONFIG}/rollback", _changed())
    return service


def _conditions(request: httpx.Request) -> dict[str, str]:
    names = ("If-Match", "If-Revision", "If-None-Match")
    return {name: request.headers[name] for name in names if name in request.headers}


def test_get_prints_the_document_alone_and_the_facts_beside_it(config: Service) -> None:
    result = run("config", "get", *AT)
    assert json.loads(result.stdout) == {"weights": {"pop": 1}}
    assert OLD in result.stderr


def test_put_sends_what_was_current_a_moment_ago_and_shows_what_changed(config: Service, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"weights": {"pop": 2}}')
    result = run("config", "put", str(file), "--reason", "sale", *AT)
    assert result.exit_code == 0
    sent = config.last("PUT")
    assert _conditions(sent) == {"If-Match": f'"{OLD}"', "If-Revision": "7"}
    assert sent.content == b'{"weights": {"pop": 2}}'
    assert sent.headers["X-Change-Reason"] == "sale"
    assert f"config: {OLD} → {NEW} (revision 8)" in result.stdout
    assert "~ /weights/pop: 1 → 2" in result.stdout
    assert '+ /flags: {"x": true}' in result.stdout
    assert "… and 1,000 more" in result.stdout
    assert "! W: Careful. (/x)" in result.stdout


def test_what_get_noted_is_what_put_sends_even_when_somebody_was_faster(config: Service, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    assert run("config", "get", "-o", str(file), *AT).exit_code == 0
    config.on(f"GET {CONFIG}", _config("c3" * 32, 9))
    assert run("config", "put", str(file), *AT).exit_code == 0
    assert _conditions(config.last("PUT")) == {"If-Match": f'"{OLD}"', "If-Revision": "7"}


@pytest.mark.parametrize("kind", ["config", "rules", "manifest"])
def test_the_command_that_get_shows_puts_the_file(service: Service, tmp_path: Path, kind: str) -> None:
    path = f"/v1/admin/tenants/acme/{'manifests/home' if kind == 'manifest' else kind}"
    body = {"tenant_id": "t-1", f"{kind}_version": OLD, "revision": 7, kind: {}, "changed": False}
    for method in ("GET", "PUT"):
        service.on(f"{method} {path}", httpx.Response(200, json=body))
    surface = ("-s", "home") if kind == "manifest" else ()
    shown = run(kind, "get", *surface, "-o", str(tmp_path / "my file.json"), *AT).stderr
    command = shlex.split(shown.partition("then: ")[2].splitlines()[0])
    assert command[:3] == ["recsys", kind, "put"]
    result = run(*command[1:], "--url", URL)
    assert result.exit_code == 0, result.stderr
    assert service.last("PUT").url.path == path


def test_after_a_put_the_note_is_about_the_new_version(config: Service, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    run("config", "get", "-o", str(file), *AT)
    run("config", "put", str(file), *AT)
    run("config", "put", str(file), *AT)
    assert _conditions(config.last("PUT")) == {"If-Match": f'"{NEW}"', "If-Revision": "8"}


def test_a_note_about_another_document_does_not_count(config: Service, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    run("config", "get", "-o", str(file), *AT)
    config.on(f"GET {CONFIG}", _config("c3" * 32, 9, tenant_id="t-2"))
    result = run("config", "put", str(file), *AT)
    assert _conditions(config.last("PUT"))["If-Revision"] == "9"
    assert "about another document" in result.stderr


def test_a_damaged_note_is_refused_in_words_before_anything_is_sent(config: Service, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    run("config", "get", "-o", str(file), *AT)
    file.with_name("c.json.start").write_text('{"version": 1}')
    result = run("config", "put", str(file), *AT)
    assert result.exit_code == 2
    assert "c.json.start is not what `get -o` writes" in result.stderr
    assert "PUT" not in [request.method for request in config.asked]


@pytest.mark.parametrize("place", ["", "nowhere/c.json"])
def test_a_place_that_cannot_be_written_to_is_a_usage_error(config: Service, tmp_path: Path, place: str) -> None:
    result = run("config", "get", "-o", str(tmp_path / place), *AT)
    assert result.exit_code == 2
    assert f"{tmp_path / place} cannot be written: " in result.stderr


def test_a_change_is_made_even_when_its_note_cannot_be_written(
    config: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.json"
    run("config", "get", "-o", str(file), *AT)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    result = run("config", "put", str(file), *AT)
    assert result.exit_code == 0
    assert f"config: {OLD} → {NEW}" in result.stdout
    assert "c.json.start cannot be written: Permission denied. The document is changed all the same" in result.stderr


def test_the_first_version_is_an_insert(config: Service) -> None:
    config.on(f"GET {CONFIG}", NOT_FOUND)
    result = run("config", "put", "-", *AT, text="{}")
    assert _conditions(config.last("PUT")) == {"If-None-Match": "*"}
    assert f"config: nothing → {NEW}" in result.stdout


def test_said_conditions_go_as_said_and_force_asks_for_none(config: Service) -> None:
    run("config", "put", "-", "--if-match", NEW, "--if-revision", "3", *AT, text="{}")
    assert _conditions(config.last("PUT")) == {"If-Match": NEW, "If-Revision": "3"}
    run("config", "put", "-", "--force", *AT, text="{}")
    assert _conditions(config.last("PUT")) == {"If-Match": "*"}
    assert run("config", "put", "-", "--force", "--if-revision", "3", *AT, text="{}").exit_code == 2


def test_a_conflict_says_who_when_what_and_how_to_look(config: Service) -> None:
    conflict = {
        "title": "Version mismatch",
        "detail": "Somebody was faster.",
        "code": "RECSYS_VERSION_MISMATCH",
        "current_version": NEW,
        "current_revision": 9,
        "updated_by": "bob",
        "updated_at": "2026-03-01T02:55:00Z",
        "differs": ["/weights/pop", ""],
    }
    config.on(f"PUT {CONFIG}", httpx.Response(409, json=conflict))
    result = run("config", "put", "-", *AT, text="{}")
    assert result.exit_code == 1
    assert f"now current: {NEW} (revision 9)" in result.stderr
    assert "moved by:    bob at 2026-03-01T02:55:00Z" in result.stderr
    assert "differs at:  /weights/pop, (whole document)" in result.stderr
    assert f"recsys config diff -t acme --from {OLD[:12]} --to current" in result.stderr


def test_a_file_that_is_not_there_is_a_failure_before_anything_is_sent(config: Service, tmp_path: Path) -> None:
    result = run("config", "put", str(tmp_path / "none.json"), *AT)
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
    assert not config.asked


def test_the_beginning_of_a_version_is_enough(config: Service) -> None:
    pages = [
        {"versions": [{"version": NEW}], "next_before": "2026-03-01T00:00:00Z"},
        {"versions": [{"version": OLD}], "next_before": None},
    ]
    config.on(f"GET {CONFIG}/versions", *(httpx.Response(200, json=page) for page in pages))
    run("config", "diff", "--from", OLD[:12], *AT)
    assert config.last("GET").url.params["from"] == OLD
    assert config.last("GET").url.params["to"] == "current"


@pytest.mark.parametrize(
    ("beginning", "words"), [("ffff", "No version of config begins with ffff."), ("a1a1", "2 versions")]
)
def test_a_beginning_that_names_none_or_several_is_refused(config: Service, beginning: str, words: str) -> None:
    page = {"versions": [{"version": OLD}, {"version": "a1a1" + "0" * 60}], "next_before": None}
    config.on(f"GET {CONFIG}/versions", httpx.Response(200, json=page))
    result = run("config", "rollback", "--to", beginning, *AT)
    assert result.exit_code == 2
    assert words in result.stderr


def test_rollback_is_bound_to_what_it_says_it_replaced(config: Service) -> None:
    result = run("config", "rollback", "--steps", "1", "--reason", "3 a.m.", *AT)
    sent = config.last("POST")
    assert json.loads(sent.content) == {"steps": 1, "reason": "3 a.m."}
    assert _conditions(sent) == {"If-Revision": "7"}
    assert f"config: {OLD} → {NEW} (revision 8)" in result.stdout


def test_rollback_that_clears_says_so(config: Service) -> None:
    config.on(f"POST {CONFIG}/rollback", _changed(version=None, revision=0))
    assert f"config: {OLD} → nothing (cleared)\n" in run("config", "rollback", "--revision", "0", *AT).stdout


@pytest.mark.parametrize("targets", [(), ("--revision", "1", "--steps", "1")])
def test_rollback_takes_exactly_one_target(config: Service, targets: tuple[str, ...]) -> None:
    assert run("config", "rollback", *targets, *AT).exit_code == 2
    assert not config.asked


def test_a_manifest_is_addressed_by_its_surface(service: Service) -> None:
    body = {
        "tenant_id": "t",
        "manifest_version": OLD,
        "revision": 1,
        "updated_at": None,
        "updated_by": "a",
        "manifest": {},
    }
    service.on("GET /v1/admin/tenants/acme/manifests/home", httpx.Response(200, json=body))
    assert run("manifest", "get", "--surface", "home", *AT).exit_code == 0
    assert run("manifest", "get", *AT).exit_code == 2


def test_a_tenant_wide_rollback_lists_what_moved(service: Service) -> None:
    moved = [{"document": "rules", "surface": None, "from_version": NEW, "to_version": OLD}]
    answer = {"tenant_id": "t", "revision": 12, "changed": True, "moved": moved}
    service.on("POST /v1/admin/tenants/acme/rollback", httpx.Response(200, json=answer))
    result = run("rollback", "--to", "known_good", *AT)
    assert NEW in result.stdout
    assert OLD in result.stdout
    assert "revision 12" in result.stdout
    assert run("rollback", "--to", OLD, *AT).exit_code == 2
