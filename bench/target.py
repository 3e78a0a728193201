"""What is asked: the service, the frozen yardstick, a Litestar handler; each one process on one core."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from bench.http_client import Client, http_request, run
from bench.load_generator import Load, hammer
from bench.machine import ROOT
from bench.process import SERVER_CORE, cpu_seconds, pinned
from bench.service import DEVELOPER
from tests.support.server import free_port


@dataclass(frozen=True)
class Target:
    """A server to measure."""

    name: str
    port: int
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """What its processes have used since they started."""
        return sum(map(cpu_seconds, self.pids))


def load(target: Target, sent: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Ask in a closed loop; whatever is not answered 200 is an error of the measurement."""
    # Each connection begins elsewhere in the list, so that they do not all ask the same thing at the same time.
    step = max(1, len(sent) // connections)
    sources = [islice(cycle(sent), number * step, None) for number in range(connections)]
    done = run(hammer(target.port, sources, seconds))
    if done.statuses.keys() != {200}:
        raise RuntimeError(f"{target.name} answered {dict(done.statuses)}")
    return done


def counted(target: Target, name: str) -> float:
    """The sum of a counter over its labels, as the service exposes it."""
    answer = run(_answers(target, [http_request("GET", "/metrics", DEVELOPER, b"")]))[0]
    return sum(float(line.split()[-1]) for line in answer.decode().splitlines() if line.startswith(name))


def typical_answer(target: Target, sent: Sequence[bytes]) -> bytes:
    """The body of the answer whose length is the median of all."""
    bodies = sorted(run(_answers(target, sent)), key=len)
    size = median(map(len, bodies))
    return min(bodies, key=lambda body: abs(len(body) - size))


async def _answers(target: Target, sent: Sequence[bytes]) -> list[bytes]:
    client = await Client.connect(target.port)
    bodies = [(await client.must(request)).body for request in sent]
    client.close()
    return bodies


@contextmanager
def yardstick(answer: bytes) -> Iterator[Target]:
    """A constant answer of this length."""
    with _program("yardstick", "bench.yardstick", str(len(answer))) as target:
        yield target


@contextmanager
def litestar(answer: bytes, path: Path) -> Iterator[Target]:
    """A typed handler that gives this answer; ``path``: a directory for it."""
    file = path / "answer.json"
    file.write_bytes(answer)
    with _program("Litestar handler", "bench.litestar_handler", str(file)) as target:
        yield target


@contextmanager
def _program(name: str, module: str, argument: str) -> Iterator[Target]:
    port = free_port()
    with pinned(SERVER_CORE):
        process = subprocess.Popen([sys.executable, "-m", module, str(port), argument], cwd=ROOT)
    try:
        run(_wait_for(port))
        yield Target(name, port, (process.pid,))
    finally:
        process.terminate()
        process.wait(20)


async def _wait_for(port: int, timeout_s: float = 20) -> None:
    give_up_at = time.monotonic() + timeout_s
    while True:
        try:
            (await Client.connect(port)).close()
            return
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs on this loop
