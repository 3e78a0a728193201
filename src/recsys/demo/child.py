"""The service as a child process: started, waited for, and stopped again whatever happens."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from recsys.demo.place import DemoFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.demo.place import Place

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_LOOK_EVERY_S = 0.05


def require_free(port: int) -> None:
    """Refuse a port that somebody else has.

    Raises:
        DemoFailed: naming the option that takes another.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given back is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoFailed(f"Port {port} cannot be used: {error.strerror}. Take another: --port {port + 1}") from None


@contextmanager
def running_service(place: Place, port: int, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service on the demo's database for as long as the block lasts; ready when the block begins.

    Raises:
        DemoFailed: it did not become ready, with the end of its log.
    """
    command = [sys.executable, "-m", "recsys", "serve", "--db", place.url]
    command += ["--host", HOST, "--port", str(port), "--workers", str(workers), "--dev-auth"]
    with place.log.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        try:
            _wait_until_ready(process, port, place)
            yield process
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, place: Place) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=2, trust_env=False) as client:
        while time.monotonic() < give_up_at:
            if process.poll() is not None:
                raise DemoFailed(f"The service ended with exit code {process.returncode}.\n{_end_of(place)}")
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(_LOOK_EVERY_S)
    raise DemoFailed(f"The service was not ready within {READY_TIMEOUT_S:.0f} s.\n{_end_of(place)}")


def _end_of(place: Place) -> str:
    lines = place.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return "\n".join([f"The end of {place.log}:", *(f"  {line}" for line in lines)])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
