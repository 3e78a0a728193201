"""``change``: how many changes a worker takes, how long a rollback takes, and how soon every worker serves a change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import httpx
import msgspec

from bench.break_glass import MOVES, measure_break_glass
from bench.figure import Options, Rounds, Section, percentile
from bench.http_client import Client, http_request, run
from bench.load_generator import hammer
from bench.service import ADMIN, DEVELOPER, databases, developer, directory, make_tenant, port_of
from bench.writers import puts
from tests.support.server import Server, serve

TENANTS = [f"shop-{number}" for number in range(8)]
ROLLBACKS = 100


def measure(options: Options) -> Section:
    """PUTs, rollbacks and break-glass, SQLite and PostgreSQL alternating."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        fresh = stack.enter_context(databases(path))
        _measure_one_worker(fresh, path, options, rounds)
        measure_break_glass(fresh, path, options, rounds)
    what = (
        f"PUTs of distinct configs through one worker, {len(TENANTS)} connections, to one tenant or one tenant each; "
        f"{ROLLBACKS} `POST …/rollback` one after the other; {MOVES} break-glass statements per round, from the "
        "statement (its connection included) until both of 2 workers name the version, `RECSYS_POLL_MS` at its "
        "default. Not pinned: the database needs a core, too."
    )
    return Section("change", what, rounds.figures())


def _measure_one_worker(fresh: dict[str, Callable[[], str]], path: Path, options: Options, rounds: Rounds) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serve(make(), path)) for name, make in fresh.items()}
        for server in servers.values():
            with developer(server) as client:
                _set_up(client)
        for _ in range(options.rounds):
            for name, server in servers.items():
                _measure_puts(name, server, options, rounds)
                latencies = run(_roll_back(port_of(server), TENANTS[0]))
                rounds.add(name, "rollback p50", "ms", 1e3 * percentile(latencies, 50))
                rounds.add(name, "rollback p99", "ms", 1e3 * percentile(latencies, 99))


def _set_up(client: httpx.Client) -> None:
    for tenant in TENANTS:
        make_tenant(client, tenant)


def _measure_puts(name: str, server: Server, options: Options, rounds: Rounds) -> None:
    for measure, tenants in (("1 tenant", TENANTS[:1] * len(TENANTS)), ("8 tenants", TENANTS)):
        load = run(hammer(port_of(server), [puts([tenant]) for tenant in tenants], options.seconds))
        rounds.add(name, f"PUT, {measure}", "/s", load.per_second)
        rounds.add(name, f"PUT p99, {measure}", "ms", 1e3 * percentile(load.latencies, 99))
        refused = load.statuses.total() - load.statuses[200]
        rounds.add(name, f"PUT refused, {measure}", "%", 100 * refused / load.statuses.total())


async def _roll_back(port: int, tenant: str) -> list[float]:
    """Go back and forth between the states of two revisions; seconds per call."""
    client = await Client.connect(port)
    changes = puts([tenant])
    targets = [(await client.must(next(changes))).json()["revision"] for _ in range(2)]
    latencies = []
    for number in range(ROLLBACKS):
        body = msgspec.json.encode({"revision": targets[number % 2]})
        request = http_request("POST", f"{ADMIN}/{tenant}/rollback", DEVELOPER, body)
        began = perf_counter()
        answer = await client.must(request)
        latencies.append(perf_counter() - began)
        if not answer.json()["moved"]:
            raise RuntimeError("A rollback that was to move the config moved nothing.")
    client.close()
    return latencies
