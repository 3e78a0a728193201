"""The service as a child process: started, waited for, and stopped again whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from recsys.demo.place import DemoFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recsys.demo.place import Place

HOST = "127.0.0.1"
READY_TIMEOUT_S = 120.0  # a new installation compiles first
STOP_TIMEOUT_S = 15.0
_LOOK_EVERY_S = 0.05
_LAST_PORT = 65_535
_NOT_THE_SHELLS = ("RECSYS_ARTIFACTS", "RECSYS_ARTIFACT_MAX_BYTES", "RECSYS_SUBJECT_SALT")


def require_free(port: int) -> None:
    """Refuse a port that somebody else has.

    Raises:
        DemoFailed: naming the option that takes another.
    """
    from recsys.bootstrap.serve import port_fault

    fault = port_fault(HOST, port)
    if fault is None:
        return
    other = f"--port {port + 1 if port < _LAST_PORT else port - 1}"
    if _is_service(port):
        raise DemoFailed(f"{fault} If that is an earlier demo, it still runs: stop it, or take another: {other}")
    raise DemoFailed(f"{fault} Take another: {other}")


def _is_service(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/healthz", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def running_service(place: Place, port: int, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service on the demo's database for as long as the block lasts; ready when the block begins.

    Raises:
        DemoFailed: it did not become ready, with the end of its log.
    """
    # -P: not to import what happens to lie in the working directory.
    command = [sys.executable, "-P", "-m", "recsys.demo.leash", "serve", "--db", place.url]
    command += ["--host", HOST, "--port", str(port), "--workers", str(workers), "--dev-auth"]
    # Not where the shell's variables point: the demo's answers are nobody's data, and its users and artifacts its own.
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_THE_SHELLS}
    environ |= {"RECSYS_LOG_DIR": str(place.logs), "RECSYS_EXPOSURE_FORMAT": "service_v1"}
    log = place.log(port)
    with log.open("wb") as output:
        # The pipe is the leash: nothing is written to it, and its end tells the service that this process is gone.
        process = subprocess.Popen(  # noqa: S603
            command, env=environ, stdin=subprocess.PIPE, stdout=output, stderr=output
        )
        try:
            _wait_until_ready(process, port, log)
            yield process
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=2, trust_env=False) as client:
        while time.monotonic() < give_up_at:
            if process.poll() is not None:
                raise DemoFailed(f"The service ended with exit code {process.returncode}.\n{_end_of(log)}")
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(_LOOK_EVERY_S)
    raise DemoFailed(f"The service was not ready within {READY_TIMEOUT_S:.0f} s.\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in lines)])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdin is not None:
            process.stdin.close()
