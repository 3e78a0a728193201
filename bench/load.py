"""``load``: popularity rows in bulk over HTTP, and the time until an answer is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter

import msgspec

from bench.figure import Options, Rounds, Section
from bench.http_client import NDJSON, PATIENCE_S, Client, http_request, run
from bench.service import ADMIN, DEVELOPER, databases, developer, directory, make_tenant, port_of
from bench.synthetic import SURFACE, ndjson
from bench.synthetic_signals import surface_rows
from tests.support.server import serve

ITEMS, DAYS = 20_000, 10
LOOK_EVERY_S = 0.005


@dataclass
class Timing:
    """Seconds from sending the load until it was answered and until it was served, and what others waited meanwhile."""

    answered: float
    served: float
    slowest_ms: float


def measure(options: Options) -> Section:
    """Load into a fresh tenant per round, SQLite and PostgreSQL alternating."""
    rounds = Rounds()
    body = dict(ndjson(surface_rows(ITEMS, neighbours=0, days=DAYS)))["signals/popularity"]
    count = ITEMS * DAYS
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        fresh = stack.enter_context(databases(path))
        servers = {name: stack.enter_context(serve(make(), path)) for name, make in fresh.items()}
        for number in range(options.rounds):
            for name, server in servers.items():
                with developer(server) as client:
                    key = make_tenant(client, f"shop-{number}")
                timing = run(_load(port_of(server), f"shop-{number}", key, body))
                rounds.add(name, "rate", "rows/s", count / timing.answered)
                rounds.add(name, "until answered", "s", timing.answered)
                rounds.add(name, "until served", "s", timing.served)
                rounds.add(name, "slowest recommend meanwhile", "ms", timing.slowest_ms)
    what = (
        f"One PUT of {count:,} popularity rows as NDJSON ({len(body) / 1e6:.1f} MB) into an empty tenant, one worker, "
        "not pinned. Served: the first answer with items on a second connection, asked all the while."
    )
    return Section("load", what, rounds.figures())


async def _load(port: int, tenant: str, key: Mapping[str, str], body: bytes) -> Timing:
    loading, looking = await Client.connect(port), await Client.connect(port)
    path = f"{ADMIN}/{tenant}/signals/popularity?surface={SURFACE}"
    put = http_request("PUT", path, {**DEVELOPER, **NDJSON}, body)
    asked = msgspec.json.encode({"surface": SURFACE, "k": 5, "user": {"anonymous_id": "a"}})
    ask = http_request("POST", "/v1/recommend", key, asked)
    began = perf_counter()
    answered = asyncio.create_task(_put(loading, put))
    served, slowest = None, 0.0
    while served is None or not answered.done():
        sent = perf_counter()
        answer = await looking.ask(ask)
        slowest = max(slowest, perf_counter() - sent)
        if served is None and answer.status == 200 and answer.json()["items"]:
            served = perf_counter()
        if answered.done() and (answered.exception() or perf_counter() - began > PATIENCE_S):
            break
        await asyncio.sleep(LOOK_EVERY_S)
    at = await answered
    loading.close()
    looking.close()
    if served is None:
        raise RuntimeError(f"The rows were loaded, but not served within {PATIENCE_S:g} s.")
    return Timing(at - began, served - began, 1e3 * slowest)


async def _put(client: Client, request: bytes) -> float:
    await client.must(request)
    return perf_counter()
