"""``recsys demo`` as a person starts it: built once, toured with proof, and never half-built."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-P", "-m", "recsys", "demo"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built demo, and a folder with nothing else in it."""
    directory = tmp_path_factory.mktemp("demo") / "shop"
    done = _run("--dir", str(directory), "--build-only")
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
    return kept | {"COLUMNS": "120", "RECSYS_URL": "http://127.0.0.1:1"}


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=_environment(), capture_output=True, text=True, timeout=180, check=False
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_second_start_builds_nothing(demo: Path) -> None:
    done = _run("--dir", str(demo), "--build-only")
    assert done.returncode == 0
    assert "is there already" in done.stdout
    assert sorted(path.name for path in demo.parent.iterdir()) == ["shop"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_tour_holds_and_stops_its_service(
    demo: Path, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, elsewhere = _free_port(), tmp_path
    (elsewhere / "recsys.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(elsewhere)
    done = _run("--dir", str(demo), "--port", str(port), "--workers", workers, "--tour")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every step held" in done.stdout
    assert done.stdout.count("✓ the items are byte for byte the first answer's") == 2
    assert done.stdout.count("✓ the list is empty") == 2
    assert "bought with " in done.stdout
    assert "boosted by boost-in-season" in done.stdout
    told = re.findall(r"^Why not (\w+) \(.*\)\? (.*)\.$", done.stdout, re.MULTILINE)
    blocked = [said.startswith("blocked: Blocked by hide-price-") for _, said in told]
    assert blocked == [False, True, False, True, False]
    assert len({item for item, _ in told}) == 1
    assert str(demo / "recsys-logs" / "exposures") in done.stdout
    assert [path.name for path in elsewhere.iterdir()] == ["recsys.py"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_the_printed_commands_work_as_printed(demo: Path) -> None:
    port = _free_port()
    process = subprocess.Popen(
        [*COMMAND, "--dir", str(demo), "--port", str(port)], env=_environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert f"Open http://127.0.0.1:{port}/docs" in said
        commands = re.findall(r"^  (curl .*(?:(?<=\\)\n.*)*)", said, re.MULTILINE)
        answers = [
            subprocess.run(each, shell=True, capture_output=True, text=True, timeout=30, check=True).stdout
            for each in commands
        ]
        assert len(answers) == 4
        assert re.search(r"recommend -s home --why-not \w+$", said, re.MULTILINE)
        assert len(json.loads(answers[0])["items"]) == 5
        assert "etag:" in answers[1].lower()
        assert json.loads(answers[2])["changed"] is True
        assert [each["document"] for each in json.loads(answers[3])["moved"]] == ["rules"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_a_taken_port_is_named_with_the_option_that_takes_another(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = _run("--dir", str(tmp_path / "d"), "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "d").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = _run("--dir", str(tmp_path), "--build-only")
    assert done.returncode == 1
    assert "--dir" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_never_looks_finished(tmp_path: Path, how: signal.Signals) -> None:
    directory = tmp_path / "shop"
    process = subprocess.Popen([*COMMAND, "--dir", str(directory), "--build-only"], env=_environment())
    database = tmp_path / "shop.building" / "recsys.db"
    for _ in range(1200):
        if database.exists():
            break
        time.sleep(0.05)
    process.send_signal(how)
    assert process.wait(30) != 0
    assert not directory.exists()
    if how is not signal.SIGKILL:
        assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named_with_the_option_that_takes_another() -> None:
    done = _run("--dir", "/proc/shop", "--build-only")
    assert done.returncode == 1
    assert "/proc/shop cannot be written: " in done.stderr
    assert "--dir" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_service_ends_with_a_demo_that_was_killed(demo: Path, workers: str) -> None:
    port = _free_port()
    options = ["--dir", str(demo), "--port", str(port), "--workers", workers]
    process = subprocess.Popen([*COMMAND, *options], env=_environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "Ctrl-C" not in (line := process.stdout.readline()):
        assert line
    again = _run("--dir", str(demo), "--port", str(port))
    assert again.returncode == 1
    assert "If that is an earlier demo, it still runs" in again.stderr
    process.kill()
    process.wait()
    process.stdout.close()
    give_up_at = time.monotonic() + 15
    while _answers(port):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    assert (demo / f"service-{port}.log").exists()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
