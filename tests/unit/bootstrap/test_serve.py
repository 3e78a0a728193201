"""What uvicorn is told, and the directory that the workers of one run share."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from recsys.bootstrap.serve import WORKER_FACTORY, port_fault, serve
from recsys.bootstrap.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def own_process_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "environ", {})
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_workers_find_their_settings_and_a_shared_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(app: str, **options: Any) -> None:
        seen.update(options, app=app, settings=Settings.from_environment(os.environ))
        seen["existed"] = Path(seen["settings"].run_dir).is_dir()

    monkeypatch.setattr(uvicorn, "run", run)
    serve(Settings(port=9, workers=3, run_dir=str(tmp_path / "run")))
    assert (seen["app"], seen["factory"], seen["port"], seen["workers"]) == (WORKER_FACTORY, True, 9, 3)
    assert (seen["loop"], seen["http"], seen["access_log"]) == ("uvloop", "httptools", False)
    assert Path(seen["settings"].run_dir).parent == tmp_path / "run"
    assert seen["existed"]
    assert not Path(seen["settings"].run_dir).exists(), "the directory goes with the run"


def test_the_directory_goes_when_a_signal_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        serve(Settings(run_dir=str(tmp_path)))
    assert ended.value.code == 0
    assert not list(tmp_path.iterdir())


def test_developer_headers_are_not_served_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: pytest.fail("must not run"))
    with pytest.raises(SettingsError):
        serve(Settings(dev_auth=True, host="0.0.0.0"))


@pytest.mark.parametrize(("code", "ours"), [(3, 1), (1, 1), (0, 0), (None, 0)])
def test_a_run_that_failed_ends_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, ours: int
) -> None:
    def run(*_: object, **__: object) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(uvicorn, "run", run)
    with pytest.raises(SystemExit) as ended:
        serve(Settings(run_dir=str(tmp_path)))
    assert ended.value.code == ours


def test_a_taken_port_and_a_host_that_is_not_ours_are_faults() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"Port {port} cannot be used on 127.0.0.1: " in (port_fault("127.0.0.1", port) or "")
    assert port_fault("127.0.0.1", port) is None
    assert port_fault("localhost", 0) is None
    assert "cannot be used" in (port_fault("192.0.2.1", 0) or "")
