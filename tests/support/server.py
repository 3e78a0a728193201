"""The service as its users start it: a real process with real workers."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

DEV = {"X-Dev-User-Id": "ann", "X-Org-Id": "demo"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running ``recsys serve``."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=DEV, timeout=60)

    def wait_until_ready(self) -> None:
        self.wait_until(200)

    def wait_until(self, readiness: int, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.log.read_text()}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == readiness:
                    return
            time.sleep(0.05)
        raise AssertionError(f"readiness never was {readiness}:\n{self.log.read_text()}")

    def workers(self) -> list[int]:
        """The processes that serve, in the order of their birth; not those that look after them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = []
        for pid in map(int, children):
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def serve(
    database_url: str,
    directory: Path,
    *options: str,
    workers: int = 1,
    ready: bool = True,
    through: Sequence[str] = (),
    stdin: int | None = None,
    **settings: object,
) -> Iterator[Server]:
    """Start the service on a free port with development headers on; stopped at the end.

    It logs into ``recsys-logs`` in the directory and keeps ``recsys-cache`` there. ``settings`` go by their names,
    ``log_fsync=True``; ``through``: a program that becomes the service, with ``stdin``. With ``ready=False`` it is one
    that has nothing to serve yet.
    """
    port = free_port()
    log = directory / f"serve-{port}.log"
    command = [*through, sys.executable, "-m", "recsys", "serve", "--db", database_url, "--port", str(port)]
    command += ["--workers", str(workers), "--dev-auth", *options]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
    settings = {"log_dir": directory / "recsys-logs", "cache_dir": directory / "recsys-cache", **settings}
    environ |= {f"RECSYS_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=subprocess.STDOUT, env=environ)
        server = Server(process, f"http://127.0.0.1:{port}", log)
        try:
            server.wait_until(200 if ready else 503)
            yield server
        finally:
            server.stop()
