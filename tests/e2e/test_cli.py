"""Real ``recsys`` processes: the database without a service, then the same commands against a running one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ITEMS = "\n".join(json.dumps({"item_id": f"i{n}", "tags": [f"t{n % 2}"]}) for n in range(6))
POPULARITY = "item_id,day,score\n" + "\n".join(f"i{n},2026-03-01,{10 - n}" for n in range(6))
BLOCK_ALL = {"rules": [{"action": "block", "target_type": "tag", "target_key": tag} for tag in ("t0", "t1")]}


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
    return kept | {"COLUMNS": "200", "RECSYS_TENANT": "shop"}


class Shell:
    """A person in a folder, who wants the database or a service asked."""

    def __init__(self, directory: Path, *where: str) -> None:
        self.directory, self.where = directory, where

    def run(self, *arguments: str, expect: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "recsys", *arguments, *self.where],
            cwd=self.directory,
            env=_environment(),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == expect, (arguments, done.stdout, done.stderr)
        return done

    def read(self, *arguments: str) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self.run(*arguments, "--json").stdout)
        return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that has a tenant with data, a config and a label; made by ``--db`` commands alone."""
    directory = tmp_path_factory.mktemp("cli")
    (directory / "items.ndjson").write_text(ITEMS)
    (directory / "popularity.csv").write_text(POPULARITY)
    (directory / "bad.json").write_text(json.dumps(BLOCK_ALL))
    Shell(directory).run("migrate", "up", "--db", "sqlite:///shop.db")
    shell = Shell(directory, "--db", "sqlite:///shop.db")
    shell.run("tenant", "create", "shop", "--name", "A shop")
    shell.run("items", "load", "items.ndjson", "-s", "home")
    shell.run("signals", "load", "popularity", "popularity.csv", "-s", "home")
    shell.run("config", "put", "-", "--reason", "größer", text='{"weights": {"pop": 1}}')
    shell.run("label", "1")
    return directory


@pytest.fixture
def offline(folder: Path) -> Shell:
    """Commands on the database."""
    return Shell(folder, "--db", "sqlite:///shop.db")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[str]:
    """A running service on the same database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "recsys", "serve", "--db", "sqlite:///shop.db", "--port", str(port), "--dev-auth"]
    # What the client side reads from the environment must not be taken for a misspelt setting.
    environment = _environment() | {"RECSYS_URL": "http://127.0.0.1:1", "RECSYS_API_KEY": "rsk_none"}
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail("the service did not become ready")


def test_a_database_without_migrations_says_what_to_run(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "--db", "sqlite:///new.db")
    missing = shell.run("tenant", "list", expect=1)
    assert "recsys migrate up --db sqlite:///new.db" in missing.stderr
    assert not (tmp_path / "new.db").exists()
    (tmp_path / "new.db").touch()
    empty = shell.run("tenant", "list", expect=1)
    assert "lacks migration" in empty.stderr
    assert "recsys migrate up --db sqlite:///new.db" in empty.stderr
    assert "missing" in shell.run("migrate", "status", expect=1).stdout
    assert "Applied: 0001" in shell.run("migrate", "up").stdout
    assert "nothing to apply" in shell.run("migrate", "up").stdout
    assert "up to date" in shell.run("migrate", "status").stdout
    assert shell.read("tenant", "list") == {"tenants": [], "next_after": None}


def test_a_url_of_no_known_database_is_refused(tmp_path: Path) -> None:
    refused = Shell(tmp_path, "--db", "mysql://host/x").run("tenant", "list", expect=2)
    assert "--db sqlite:///recsys.db" in refused.stderr


def test_commands_on_the_database_are_audited_as_cli(offline: Shell) -> None:
    entries = offline.read("audit", "--limit", "50")["entries"]
    assert isinstance(entries, list)
    assert {entry["actor_type"] for entry in entries} >= {"cli"}
    first_put = next(entry for entry in entries if entry["action"] == "config.update")
    assert first_put["extra"]["reason"] == "größer"


def test_recommend_without_a_service_loads_and_answers(offline: Shell) -> None:
    answer = offline.read("recommend", "-k", "3")
    assert isinstance(answer["items"], list)
    assert [item["item_id"] for item in answer["items"]] == ["i0", "i1", "i2"]


def test_a_file_with_faults_is_refused_whole_with_line_numbers(offline: Shell, folder: Path) -> None:
    refused = offline.run("items", "load", "-", "--format", "ndjson", "-s", "home", expect=1, text='{"item": 1}\n{}\n')
    assert "line 1 " in refused.stderr
    assert "line 2 " in refused.stderr


def test_database_and_service_give_the_same_answers(offline: Shell, service: str) -> None:
    online = Shell(offline.directory, "--url", service)
    for command in (("tenant", "list"), ("history",), ("config", "versions"), ("config", "get"), ("audit",)):
        assert offline.read(*command) == online.read(*command), command


def test_break_and_roll_back_against_a_service(folder: Path, service: str) -> None:
    shell = Shell(folder, "--url", service)
    before = shell.read("recommend")
    broken = shell.run("rules", "put", "bad.json", "--reason", "oops")
    assert "rules: nothing → " in broken.stdout
    assert shell.read("recommend")["items"] == []
    moved = shell.run("rollback", "--to", "known_good", "--reason", "empty")
    assert "– (cleared)" in moved.stdout
    assert shell.read("recommend")["items"] == before["items"]
    assert "known_good" in shell.run("history").stdout


def test_a_change_past_the_service_is_served_at_its_next_poll(offline: Shell, service: str) -> None:
    online = Shell(offline.directory, "--url", service)
    offline.run("rules", "put", "bad.json", "--force")
    deadline = time.monotonic() + 10
    while online.read("recommend")["items"] != []:
        assert time.monotonic() < deadline
    offline.run("rules", "rollback", "--steps", "1")


def test_two_editors_do_not_overwrite_each_other(folder: Path, service: str) -> None:
    shell = Shell(folder, "--url", service)
    for name in ("alice.json", "bob.json"):
        shell.run("config", "get", "-o", name)
        (folder / name).write_text(json.dumps({"weights": {"pop": len(name)}}))
    shell.run("config", "put", "alice.json")
    conflict = shell.run("config", "put", "bob.json", expect=1)
    assert "409 Version mismatch" in conflict.stderr
    assert "recsys config diff -t shop --from" in conflict.stderr
    hint = next(line for line in conflict.stderr.splitlines() if "config diff" in line).partition("recsys ")[2]
    assert "/weights/pop" in shell.run(*hint.split()).stdout
    shell.run("config", "put", "bob.json", "--force")


def test_a_key_made_on_the_database_opens_the_service(offline: Shell, service: str) -> None:
    key = offline.run("api-key", "create", "--role", "viewer").stdout.strip()
    assert key.startswith("rsk_")
    assert "tenant" not in key
    reader = Shell(offline.directory, "--url", service, "--api-key", key)
    deadline = time.monotonic() + 10
    while reader_code(reader) != 0:
        assert time.monotonic() < deadline
    refused = reader.run("config", "put", "-", text='{"weights": {"pop": 9}}', expect=1)
    assert "RECSYS_FORBIDDEN" in refused.stderr
    keys = offline.read("api-key", "list")["api_keys"]
    assert isinstance(keys, list)
    offline.run("api-key", "revoke", keys[-1]["id"])


def reader_code(shell: Shell) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "recsys", "config", "get", *shell.where],
        cwd=shell.directory,
        env=_environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode


def test_serve_refuses_what_cannot_work(folder: Path) -> None:
    shell = Shell(folder)
    open_door = shell.run("serve", "--db", "sqlite:///shop.db", "--dev-auth", "--host", "0.0.0.0", expect=2)
    assert "loopback" in open_door.stderr
    nothing = shell.run("serve", "--db", "sqlite:///none.db", expect=1)
    assert "recsys migrate up --db sqlite:///none.db" in nothing.stderr
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        refused = shell.run("serve", "--db", "sqlite:///shop.db", "--port", taken, expect=1)
    assert f"Port {taken} cannot be used on 127.0.0.1" in refused.stderr
    assert "startup" not in refused.stderr
    elsewhere = shell.run("serve", "--db", "sqlite:///shop.db", "--host", "192.0.2.1", expect=1)
    assert "Is it an address of this machine (--host)?" in elsewhere.stderr
    assert "--port" in shell.run("serve", "--port", "99999", expect=2).stderr


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    from recsys import __version__

    assert Shell(tmp_path).run("version").stdout.strip() == __version__
