"""``serve``: one worker on one core against the frozen yardstick, load from the other core, alternating."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import msgspec

from bench.figure import Options, Rounds, Section, percentile
from bench.http_client import Client, http_request, run
from bench.load_generator import Load, hammer
from bench.process import GENERATOR_CORE, SERVER_CORE, cpu_seconds, pinned, rss_mb
from bench.service import developer, directory, load_tenant, make_tenant, port_of
from bench.synthetic import requests
from bench.synthetic_signals import surface_rows
from tests.support.databases import SqliteTemplate
from tests.support.server import free_port, serve

ITEMS, NEIGHBOURS, DAYS = 20_000, 30, 3
WARM_UP_S = 0.5
ROOT = Path(__file__).parents[1]

Target = tuple[str, int, int]
"""Name, port, process id."""


def measure(options: Options) -> Section:
    """Every case on the service and on the yardstick."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        with pinned(SERVER_CORE):
            server = stack.enter_context(serve(SqliteTemplate(path).fresh(), path))
        with developer(server) as client:
            key = make_tenant(client, "shop")
            load_tenant(client, "shop", surface_rows(ITEMS, neighbours=NEIGHBOURS, days=DAYS))
        stack.enter_context(pinned(GENERATOR_CORE))
        recsys: Target = ("recsys", port_of(server), server.process.pid)
        for case, bodies in requests(ITEMS).items():
            _measure_case(case, _encoded(bodies, key), recsys, options, rounds)
    what = (
        f"One worker on core {SERVER_CORE}, the generator with {options.connections} connections on core "
        f"{GENERATOR_CORE}, SQLite; {ITEMS:,} items × {NEIGHBOURS} neighbours, 5 tags, 50 rules, k = 20, API key. "
        f"Yardstick: a raw ASGI app on the same uvicorn settings, a constant answer of the same size. "
        f"Rounds of {options.seconds:g} s alternate; latencies include waiting behind the other connections. Compare "
        "by CPU: a server less than about 95 % busy was not at its limit, because other processes had the core or "
        "because it waited for the generator, as the yardstick always does a little. Its rate is then too low, and a "
        "ratio of rates to it too favourable. CPU is what /proc books on the process; part of the kernel's "
        "network work is not."
    )
    return Section("serve", what, rounds.figures())


def _encoded(bodies: list[dict[str, object]], key: Mapping[str, str]) -> list[bytes]:
    return [http_request("POST", "/v1/recommend", key, msgspec.json.encode(body)) for body in bodies]


def _measure_case(case: str, sent: list[bytes], recsys: Target, options: Options, rounds: Rounds) -> None:
    size = run(_answer_size(recsys[1], sent))
    with _yardstick(size) as yardstick:
        targets = [recsys, yardstick]
        for target in targets:
            _load(target, sent, options.connections, WARM_UP_S)
        rounds.add(f"{case}: recsys", "answer", "B", size)
        for number in range(options.rounds):
            rates, costs = {}, {}
            for target in targets if number % 2 == 0 else reversed(targets):
                cpu = cpu_seconds(target[2])
                load = _load(target, sent, options.connections, options.seconds)
                spent = cpu_seconds(target[2]) - cpu
                _note(f"{case}: {target[0]}", target, load, spent, rounds)
                costs[target[0]] = spent / len(load.latencies)
                rates[target[0]] = load.per_second
            rounds.add(f"{case}: recsys", "rate of the yardstick's", "%", 100 * rates["recsys"] / rates["yardstick"])
            rounds.add(f"{case}: recsys", "CPU of the yardstick's", "×", costs["recsys"] / costs["yardstick"])


def _note(case: str, target: Target, load: Load, cpu: float, rounds: Rounds) -> None:
    rounds.add(case, "rate", "req/s", load.per_second)
    rounds.add(case, "p50", "ms", 1e3 * percentile(load.latencies, 50))
    rounds.add(case, "p99", "ms", 1e3 * percentile(load.latencies, 99))
    rounds.add(case, "server CPU", "µs/req", 1e6 * cpu / len(load.latencies))
    rounds.add(case, "server busy", "%", 100 * cpu / load.seconds)
    rounds.add(case, "generator busy", "%", 100 * load.client_share)
    rounds.add(case, "RSS", "MB", rss_mb(target[2]))


def _load(target: Target, sent: list[bytes], connections: int, seconds: float) -> Load:
    # Each connection begins elsewhere in the list, so that they do not all ask the same thing at the same time.
    step = max(1, len(sent) // connections)
    sources = [islice(cycle(sent), number * step, None) for number in range(connections)]
    load = run(hammer(target[1], sources, seconds))
    if load.statuses.keys() != {200}:
        raise RuntimeError(f"{target[0]} answered {dict(load.statuses)}")
    return load


async def _answer_size(port: int, sent: list[bytes]) -> int:
    client = await Client.connect(port)
    sizes = [len((await client.must(request)).body) for request in sent]
    client.close()
    return int(median(sizes))


@contextmanager
def _yardstick(size: int) -> Iterator[Target]:
    port = free_port()
    with pinned(SERVER_CORE):
        process = subprocess.Popen([sys.executable, "-m", "bench.yardstick", str(port), str(size)], cwd=ROOT)
    try:
        run(_wait_for(port))
        yield "yardstick", port, process.pid
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
