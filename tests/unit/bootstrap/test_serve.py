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
from uvicorn.importer import import_from_string

from recsys.bootstrap.serve import FACTORY, HOT_PROTOCOL, http_protocol, port_fault, serve, server_config
from recsys.bootstrap.settings import Settings, SettingsError
from recsys.bootstrap.supervisor import StartFailed, Supervisor
from recsys.service.hot_protocol import HotProtocol
from tests.support.server import free_port


@pytest.fixture(autouse=True)
def own_process_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "environ", {})
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def port() -> int:
    return free_port()


def test_workers_find_their_settings_and_a_shared_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    seen: dict[str, Any] = {}

    def run(supervisor: Supervisor) -> None:
        seen["settings"] = Settings.from_environment(os.environ)
        seen["existed"] = Path(seen["settings"].run_dir).is_dir()

    monkeypatch.setattr(Supervisor, "run", run)
    serve(Settings(port=port, workers=3, run_dir=str(tmp_path / "run")))
    assert (seen["settings"].port, seen["settings"].workers) == (port, 3)
    assert Path(seen["settings"].run_dir).parent == tmp_path / "run"
    assert seen["existed"]
    assert not Path(seen["settings"].run_dir).exists(), "the directory goes with the run"


def test_the_directory_goes_when_a_signal_ends_the_run_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(Supervisor, "run", lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        serve(Settings(port=port, run_dir=str(tmp_path)))
    assert ended.value.code == 0
    assert not list(tmp_path.iterdir())


def test_what_uvicorn_is_told() -> None:
    told = server_config(Settings(port=9, workers=3, shutdown_s=7, drain_s=2))
    assert (told.app, told.factory, told.port, told.workers) == (FACTORY, True, 9, 3)
    assert (told.loop, told.http, told.access_log) == ("uvloop", HOT_PROTOCOL, False)
    assert server_config(Settings(fast_http=False)).http == "httptools"
    assert told.timeout_graceful_shutdown == 5, "the drain is part of the time for shutting down"
    assert server_config(Settings(shutdown_s=1, drain_s=2)).timeout_graceful_shutdown == 0


def test_the_installed_uvicorn_is_one_that_this_is_tested_with(caplog: pytest.LogCaptureFixture) -> None:
    assert import_from_string(http_protocol()) is HotProtocol
    assert not caplog.records


def test_another_uvicorn_serves_in_its_own_way_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert http_protocol("0.99.1") == "httptools"
    assert "uvicorn 0.99.1" in caplog.text


def test_developer_headers_are_not_served_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Supervisor, "run", lambda _: pytest.fail("must not run"))
    with pytest.raises(SettingsError):
        serve(Settings(dev_auth=True, host="0.0.0.0"))


def test_a_run_that_could_not_start_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    def run(_: Supervisor) -> None:
        raise StartFailed

    monkeypatch.setattr(Supervisor, "run", run)
    with pytest.raises(SystemExit) as ended:
        serve(Settings(port=port, run_dir=str(tmp_path)))
    assert ended.value.code == 1


def test_a_port_that_somebody_took_meanwhile_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(_: uvicorn.Config) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(uvicorn.Config, "bind_socket", bind)
    with pytest.raises(SystemExit) as ended:
        serve(Settings(run_dir=str(tmp_path)))
    assert ended.value.code == 1


def test_a_taken_port_and_a_host_that_is_not_ours_are_faults() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"Port {port} cannot be used on 127.0.0.1: " in (port_fault("127.0.0.1", port) or "")
    assert port_fault("127.0.0.1", port) is None
    assert port_fault("localhost", 0) is None
    assert "cannot be used" in (port_fault("192.0.2.1", 0) or "")
