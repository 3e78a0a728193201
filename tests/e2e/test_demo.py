"""``recsys demo`` as a person starts it: built once, toured with proof, and never half-built."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.xdist_group("demo")  # a demo is built once, not once per worker

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-P", "-m", "recsys", "demo"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built demo, and a folder with nothing else in it."""
    return _built(tmp_path_factory)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with signals in tables of the database."""
    return _built(tmp_path_factory, "--db-only")


def _built(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Path:
    directory = tmp_path_factory.mktemp("demo") / "shop"
    done = _run("--dir", str(directory), "--build-only", *options)
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
def test_the_tour_holds_again_and_again_and_stops_its_service(
    demo: Path, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, elsewhere = _free_port(), tmp_path
    (elsewhere / "recsys.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("RECSYS_ARTIFACTS", str(elsewhere / "somebody-elses"))
    monkeypatch.setenv("RECSYS_SUBJECT_SALT", "somebody-elses-salt")
    said = _toured("--dir", str(demo), "--port", str(port), "--workers", workers)
    assert said.count("✓ the items are byte for byte the first answer's") == 4
    assert re.search(r"✓ [4-8] of 8 items are gone from the list", said)
    assert "✓ exactly the manifest moved" in said
    assert "✓ the job makes the same signals, and their manifest is refused" in said
    assert "✓ it is refused: 422 RECSYS_VERSION_QUARANTINED" in said
    before, after = re.findall(r"manifest before (\w{12}) · after (\w{12})", said)[0]
    assert re.findall(r"tenant\.rollback +\w+ +(\w+)", said)[0] == before != after
    assert re.findall(r"nightly +manifest\.update +\w+ +(\w+)", said)[0] == after
    _asked_why(said, after_that=2)
    assert str(demo / "recsys-logs" / "exposures") in said
    assert [path.name for path in elsewhere.iterdir()] == ["recsys.py"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_the_tour_holds_where_signals_are_rows_of_tables(tables: Path) -> None:
    said = _toured("--dir", str(tables), "--db-only", "--port", str(_free_port()))
    assert said.count("✓ the items are byte for byte the first answer's") == 2
    assert "manifest –" in said
    assert "pipelines run" not in said
    _asked_why(said, after_that=0)


def _toured(*options: str) -> str:
    done = _run(*options, "--tour")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every step held" in done.stdout
    return done.stdout


def _asked_why(said: str, after_that: int) -> None:
    """Each claim about the rules, in its order; ``after_that``: how often the same is said of the good answer."""
    assert said.count("✓ the list is empty") == 2
    assert "bought with " in said
    assert "boosted by boost-in-season" in said
    told = re.findall(r"^Why not (\w+) \(.*\)\? (.*)\.$", said, re.MULTILINE)
    blocked = [words.startswith("blocked: Blocked by hide-price-") for _, words in told]
    assert blocked == [False, True, False, True, False, *[False] * after_that]
    assert len({item for item, _ in told}) == 1


def test_customers_of_the_events_are_known_and_see_a_list_of_their_own(demo: Path) -> None:
    port = _free_port()
    with _staying("--dir", str(demo), "--port", str(port)):
        lists = [_home(port, name) for name in ("customer-17850", "customer-13047", "nobody", "no one")]
    assert len({tuple(each) for each in lists}) == 3
    assert lists[2] == lists[3]


def _home(port: int, user_id: str) -> list[str]:
    headers = {"X-Dev-User-Id": "me", "X-Org-Id": "demo"}
    body = {"surface": "home", "k": 10, "user": {"user_id": user_id}}
    url = f"http://127.0.0.1:{port}/v1/recommend"
    answer = httpx.post(url, json=body, headers=headers, trust_env=False).json()
    assert answer["meta"]["manifest_version"]
    assert [each["code"] for each in answer["warnings"]] == []
    return [each["item_id"] for each in answer["items"]]


def test_the_printed_commands_work_as_printed(demo: Path, tmp_path: Path) -> None:
    port = _free_port()
    with _staying("--dir", str(demo), "--port", str(port), cwd=tmp_path) as said:
        assert f"Open http://127.0.0.1:{port}/docs" in said
        commands = re.findall(r"^  (curl .*(?:(?<=\\)\n.*)*)", said, re.MULTILINE)
        answers = [_typed(each, tmp_path) for each in commands]
        assert len(answers) == 4
        assert len(json.loads(answers[0])["items"]) == 5
        assert "etag:" in answers[1].lower()
        assert json.loads(answers[2])["changed"] is True
        assert [each["document"] for each in json.loads(answers[3])["moved"]] == ["rules"]
        by_command = re.findall(r"^  ((?:export |\S*recsys ).*)$", said, re.MULTILINE)
        told = _typed("\n".join(by_command), tmp_path)
    assert "blocked" in told
    assert "Published: manifest" in told
    assert "served by the only replica within" in told
    assert "manifest.update" in told
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_the_bad_manifest_of_the_readme_is_published_and_rolled_back_as_it_is_written(
    demo: Path, tmp_path: Path
) -> None:
    by_hand = (ROOT / "README.md").read_text().split("## A tenant breaks")[1]
    rules, signals = re.findall(r"```sh\n(.*?)```", by_hand, re.DOTALL)[:2]
    port = _free_port()
    (tmp_path / "demo-data").symlink_to(demo)
    with _staying("--dir", str(demo), "--port", str(port)):
        script = rules.splitlines()[0] + "\n" + signals
        script = script.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{port}").replace(".venv/bin/", "")
        told = _typed(script.replace("rs recommend", "echo ---; rs recommend --json"), tmp_path)
        again = _run("--dir", str(demo), "--port", str(_free_port()), "--tour")
    published, bad, good = told.split("---\n")
    assert "Published: manifest" in published
    assert "served by the only replica within" in published
    wrong, right = json.loads(bad.splitlines()[0]), json.loads(good.splitlines()[0])
    assert wrong["meta"]["manifest_version"][:12] in published
    assert wrong["meta"]["manifest_version"] != right["meta"]["manifest_version"]
    assert wrong["meta"]["rules_version"] == right["meta"]["rules_version"]
    assert wrong["items"] != right["items"]
    marked = [line for line in good.splitlines()[1:] if wrong["meta"]["manifest_version"][:12] in line]
    assert "signals of a year ago" in marked[0]
    assert again.returncode == 0, again.stderr


def _typed(commands: str, cwd: Path) -> str:
    environ = _environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-O", "expand_aliases", "-c", commands],
        env=environ, cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def _staying(*options: str, cwd: Path | None = None) -> Iterator[str]:
    """What a demo says that goes on until the end of the block, when it is stopped as a person does."""
    process = subprocess.Popen([*COMMAND, *options], env=_environment(), cwd=cwd, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


def test_the_other_mode_is_built_anew(demo: Path, tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    shutil.copytree(demo, directory, ignore=shutil.ignore_patterns("events", "pipelines"))
    assert "is built" in _run("--dir", str(directory), "--db-only", "--build-only").stdout
    assert not (directory / "recsys-artifacts").exists()
    assert "is there already" in _run("--dir", str(directory), "--db-only", "--build-only").stdout


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['ibis'] = None; from recsys.cli.app import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "demo", "--dir", str(tmp_path / "shop"), "--build-only"],
        env=_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == "The demo needs ibis: pip install 'recsys[demo]'"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("content", "words"), [(None, "is missing"), (b"PAR1 torn", "cannot be read")])
def test_invoices_that_are_missing_or_damaged_are_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    invoices = tmp_path / "invoices.parquet"
    if content is not None:
        invoices.write_bytes(content)
    program = (
        "import sys; from pathlib import Path; from recsys.demo import retail; "
        f"retail.SHIPPED_PARQUET = Path({str(invoices)!r}); from recsys.cli.app import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "demo", "--dir", str(tmp_path / "shop"), "--build-only"],
        env=_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{invoices} {words}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "shop").exists()


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
    _interrupted(directory, how, until="recsys.db")
    assert not directory.exists()
    if how is not signal.SIGKILL:
        assert not list(tmp_path.iterdir())


def test_a_build_killed_while_signals_are_made_is_made_whole_by_the_next_start(tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    _interrupted(directory, signal.SIGKILL, until="recsys-artifacts/*/home/popularity/*.arrow")
    assert not directory.exists()
    said = _toured("--dir", str(directory), "--port", str(_free_port()))
    assert "is built" in said
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def _interrupted(directory: Path, how: signal.Signals, until: str) -> None:
    """Start a build, and stop it as soon as there is such a file."""
    process = subprocess.Popen([*COMMAND, "--dir", str(directory), "--build-only"], env=_environment())
    scratch = directory.with_name(f"{directory.name}.building")
    give_up_at = time.monotonic() + 120
    while not list(scratch.glob(until)):
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait(30) != 0


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
