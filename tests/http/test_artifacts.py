"""Manifests that name artifacts, over HTTP and from the command line on a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from recsys.cli.commands import build_app
from recsys.control.collect_garbage import collect_garbage
from recsys.domain.errors import Overloaded
from tests.http.conftest import Api, assert_problem
from tests.support.artifacts import Artifact, popularity
from tests.support.databases import migrate

MANIFEST = "/v1/admin/tenants/demo/manifests/home"


def manifest(**uris: str) -> dict[str, Any]:
    return {"v": 1, "tenant": "demo", "surface": "home", "current": uris}


async def test_a_manifest_is_taken_when_all_that_it_names_is_there(api: Api, dev: httpx.AsyncClient) -> None:
    cooc = Artifact("cooc")
    wish = manifest(popularity=popularity().uri, cooc=cooc.uri)
    unknown = assert_problem(await dev.put(MANIFEST, json=wish), 503, "RECSYS_NOT_READY")
    assert "it is not mounted, or nobody has stored anything yet" in unknown["detail"]
    await api.service.blobs.put("another/tenant.json", b"{}")
    refused = assert_problem(
        await dev.put(MANIFEST, json=wish),
        422,
        "RECSYS_ARTIFACT_INCOMPATIBLE",
    )
    assert [each["pointer"] for each in refused["errors"]] == ["/current/popularity", "/current/cooc"]
    tenant_id = (await dev.get("/v1/admin/tenants/demo")).json()["id"]
    for artifact in (popularity(), cooc):
        await artifact.store(api.service.blobs, tenant_id)

    taken = await dev.put(MANIFEST, json=manifest(popularity=popularity().uri, cooc=cooc.uri))

    assert taken.status_code == 200, taken.text


async def test_going_back_to_what_is_gone_is_refused(api: Api, dev: httpx.AsyncClient) -> None:
    tenant_id = (await dev.get("/v1/admin/tenants/demo")).json()["id"]
    for number in (1, 2):
        await popularity(number).store(api.service.blobs, tenant_id)
        await dev.put(MANIFEST, json=manifest(popularity=popularity(number).uri))
    await api.service.blobs.delete(popularity(1).at(tenant_id).blob)

    for path in (MANIFEST, "/v1/admin/tenants/demo"):
        refused = await dev.post(f"{path}/rollback", json={"revision": 1})
        problem = assert_problem(refused, 422, "RECSYS_ARTIFACT_INCOMPATIBLE")
        assert popularity(1).sha256 in problem["errors"][0]["detail"]
    assert (await dev.get(MANIFEST)).json()["revision"] == 2


class Shell:
    """A person in a folder with a database."""

    def __init__(self, *where: str) -> None:
        self.where = where

    def run(self, *arguments: str, expect: int = 0) -> str:
        done = CliRunner().invoke(build_app(), [*arguments, *self.where], env={"COLUMNS": "200"})
        assert done.exit_code == expect, (arguments, done.output)
        return done.stdout if expect == 0 else done.stderr

    def read(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))


HERE = ("-s", "home")


@pytest.fixture
def shell(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("RECSYS_URL", "RECSYS_DB", "RECSYS_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECSYS_TENANT", "demo")
    monkeypatch.chdir(tmp_path)
    migrate("sqlite:///shop.db")
    for number in (1, 2):
        Path(f"popularity-{number}.arrow").write_bytes(popularity(number).content)
    Path("broken.arrow").write_bytes(popularity(1).content[:100])
    shell = Shell("--db", "sqlite:///shop.db")
    shell.run("tenant", "create", "demo")
    return shell


def test_only_whole_artifacts_are_published(shell: Shell) -> None:
    said = shell.run("artifacts", "publish", "popularity=broken.arrow", *HERE, expect=1)
    assert "popularity: The file cannot be read" in said
    assert "What is popularity-1.arrow?" in shell.run("artifacts", "publish", "popularity-1.arrow", *HERE, expect=2)
    assert not Path("recsys-artifacts").exists()


def test_what_is_published_is_listed_and_shown(shell: Shell) -> None:
    for number in (1, 2):
        said = shell.run("artifacts", "publish", f"popularity=popularity-{number}.arrow", *HERE, "-m", "a good reason")
        assert f"revision {number}" in said

    listed = shell.read("artifacts", "list", *HERE)["artifacts"]
    assert {each["sha256"]: each["current"] for each in listed} == {
        popularity(1).sha256: False,
        popularity(2).sha256: True,
    }
    assert "popularity" in shell.run("artifacts", "list", *HERE)
    shown = shell.read("artifacts", "show", popularity(1).sha256[:12], *HERE)
    assert (shown["uri"], shown["rows"]) == (popularity(1).uri, 1)
    assert shown["record"]["lineage"]["engine"] == "file popularity-1.arrow"
    assert popularity(2).uri in shell.run("artifacts", "show", popularity(2).uri, *HERE)
    assert "No artifact of this surface begins with 0000" in shell.run("artifacts", "show", "0000", *HERE, expect=1)


def test_the_kinds_that_are_not_published_stay_unless_told_otherwise(shell: Shell) -> None:
    cooc = Artifact("cooc")
    Path("cooc.arrow").write_bytes(cooc.content)
    shell.run("artifacts", "publish", "popularity=popularity-1.arrow", *HERE)
    shell.run("artifacts", "publish", "cooc=cooc.arrow", *HERE)
    current = shell.read("manifest", "get", *HERE)["manifest"]["current"]
    assert current == {"popularity": popularity(1).uri, "cooc": cooc.uri}

    shell.run("artifacts", "publish", "cooc=cooc.arrow", *HERE, "--only")
    assert shell.read("manifest", "get", *HERE)["manifest"]["current"] == {"cooc": cooc.uri}


def test_publishing_what_is_under_quarantine_again_takes_a_reason(shell: Shell) -> None:
    for number in (1, 2):
        shell.run("artifacts", "publish", f"popularity=popularity-{number}.arrow", *HERE)
    shell.run("manifest", "rollback", *HERE, "--steps", "1", "--quarantine", "-m", "empty lists")
    again = ("artifacts", "publish", "popularity=popularity-2.arrow", *HERE)
    said = shell.run(*again, expect=1)
    assert "is under quarantine" in said
    assert "the same command with --override-quarantine" in said
    shell.run(*again, "--override-quarantine", "it was the client")


def test_garbage_is_shown_then_removed_and_cannot_be_gone_back_to(shell: Shell) -> None:
    for number in (1, 2):
        shell.run("artifacts", "publish", f"popularity=popularity-{number}.arrow", *HERE)
    assert shell.read("artifacts", "gc", "--keep-days", "0")["tenants"]["demo"]["young"] == 1

    collect = ("artifacts", "gc", "--keep-days", "0", "--grace-hours", "0")
    found = shell.read(*collect)["tenants"]["demo"]
    assert (found["collected"], found["referenced"]) == ([f"home/popularity/{popularity(1).sha256}"], 1)
    assert "would go" in shell.run(*collect)
    assert "demo: 1 artifacts" in shell.run(*collect, "--delete")
    assert shell.read(*collect)["tenants"]["demo"]["collected"] == []
    said = shell.run("manifest", "rollback", "--revision", "1", *HERE, expect=1)
    assert "/current/popularity: The artifact store has no" in said


def test_a_tenant_that_cannot_be_judged_holds_up_no_other(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("tenant", "create", "aaa")
    shell.run("artifacts", "publish", "popularity=popularity-1.arrow", *HERE)
    real = collect_garbage

    async def busy(*arguments: Any, **options: Any) -> Any:
        if "aaa" in arguments:
            raise Overloaded("Others hold the tenant.")
        return await real(*arguments, **options)

    monkeypatch.setattr("recsys.cli.collect_garbage.collect_garbage", busy)
    done = CliRunner().invoke(build_app(), ["artifacts", "gc", *shell.where], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "demo: 0 artifacts" in done.stdout
    assert "aaa: Others hold the tenant." in done.stderr


def test_a_service_elsewhere_does_not_say_where_its_artifacts_are(shell: Shell) -> None:
    said = Shell("--url", "http://127.0.0.1:9").run("artifacts", "list", *HERE, expect=2)
    assert "RECSYS_ARTIFACTS names the store" in said
