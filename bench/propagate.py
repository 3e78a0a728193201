"""``propagate``: from a rollback to every worker serving it, seen from outside, under load; and changes per second."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice

import msgspec

from bench.figure import Bar, Options, Rounds, Section, percentile
from bench.http_client import NDJSON, http_request, run
from bench.load_generator import hammer
from bench.pressure import Pressure
from bench.rollbacks import Freshness, Propagation, Shop, roll_back_often, roll_back_unheard
from bench.service import ADMIN, DEVELOPER, developer, directory, make_tenant, port_of
from bench.synthetic import ANCHORED, SURFACE, ndjson, requests, rules
from bench.synthetic_signals import surface_rows
from bench.writers import put_often
from tests.support.databases import postgres_server
from tests.support.server import Server, serve

WORKERS, SHARE, CONNECTIONS = 4, 0.3, 32
ITEMS, NEIGHBOURS, DAYS = 1_000, 20, 3
TENANTS, WRITERS = 64, 16


@dataclass(frozen=True)
class Scale:
    """How much of everything; ``put_s``: seconds of a round of PUTs."""

    name: str
    rollbacks: int
    unheard: int
    checks: int
    changes: int
    put_s: float


FULL = Scale("", 500, 20, 100_000, 1_000, 5.0)
SHORT = Scale("quick: ", 40, 3, 5_000, 100, 2.0)


def measure(options: Options) -> Section:
    """One service on PostgreSQL; everything one after the other."""
    scale, rounds = SHORT if options.quick else FULL, Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        url = stack.enter_context(postgres_server()).fresh()
        server = stack.enter_context(serve(url, path, workers=WORKERS))
        shop, tenants = _set_up(server, url)
        rate = SHARE * _saturation(shop, options)
        _say(f"{rate:,.0f} requests per second are {SHARE:.0%} of saturation")
        freshness = run(_under_load(shop, tenants, rate, scale, options, rounds))
    return Section("propagate", _what(scale, rate), rounds.figures(), _bars(scale, rounds, freshness))


async def _under_load(
    shop: Shop, tenants: list[str], rate: float, scale: Scale, options: Options, rounds: Rounds
) -> Freshness:
    freshness = Freshness()
    pressure = Pressure(cycle(shop.asked), rate, freshness.check)
    await pressure.start(shop.port, CONNECTIONS)
    changes = 0
    for _ in range(options.rounds):
        load = await put_often(shop.port, tenants, WRITERS, scale.put_s)
        changes += load.statuses[200]
        rounds.add("PUT", "rate", "/s", load.per_second)
        rounds.add("PUT", "p50", "ms", 1e3 * percentile(load.latencies, 50))
        rounds.add("PUT", "p99", "ms", 1e3 * percentile(load.latencies, 99))
        rounds.add("PUT", "refused", "", load.statuses.total() - load.statuses[200])
        _say(f"{load.per_second:,.0f} PUTs per second")
    heard = await roll_back_often(shop, freshness, scale.rollbacks, scale.checks, _say)
    _note("rollback", heard, rounds)
    unheard = await roll_back_unheard(shop, scale.unheard, _say)
    _note("rollback, notifications lost", unheard, rounds)
    await pressure.stop()
    changes += len(heard.served) + len(unheard.served)
    rounds.add(_SERVING, "rate", "req/s", rate)
    rounds.add(_SERVING, "p50", "ms", 1e3 * percentile(pressure.latencies, 50))
    rounds.add(_SERVING, "p99", "ms", 1e3 * percentile(pressure.latencies, 99))
    rounds.add(_SERVING, "errors", "", pressure.errors)
    rounds.add(_SERVING, "changes meanwhile", "", changes)
    rounds.add(_SERVING, "answers checked", "", freshness.checked)
    rounds.add(_SERVING, "of them stale", "", freshness.stale)
    return freshness


_SERVING = "serving meanwhile"


def _note(case: str, done: Propagation, rounds: Rounds) -> None:
    rounds.add(case, "served by all, p50", "ms", 1e3 * percentile(done.served, 50))
    rounds.add(case, "served by all, p99", "ms", 1e3 * percentile(done.served, 99))
    rounds.add(case, "slowest", "ms", 1e3 * max(done.served))
    rounds.add(case, "answered, p50", "ms", 1e3 * percentile(done.answered, 50))
    rounds.add(case, "answered, p99", "ms", 1e3 * percentile(done.answered, 99))
    rounds.add(case, "receipts not converged", "", done.unconverged)


def _bars(scale: Scale, rounds: Rounds, freshness: Freshness) -> list[Bar]:
    name, lost = scale.name, "rollback, notifications lost"
    every = f"{name}rollback to every worker serving it"
    changes = rounds.median(_SERVING, "changes meanwhile")
    return [
        Bar(f"{name}PUTs across distinct tenants", rounds.median("PUT", "rate"), "/s", at_least=200),
        Bar(f"{every}: p50 of {scale.rollbacks}", rounds.median("rollback", "served by all, p50"), "ms", at_most=50),
        Bar(f"{every}: p99", rounds.median("rollback", "served by all, p99"), "ms", at_most=200),
        Bar(f"{every}, notifications lost: slowest", rounds.most(lost, "slowest"), "ms", at_most=1_500),
        Bar(f"{name}answers checked after a receipt", freshness.checked, "", at_least=scale.checks),
        Bar(f"{name}of them stale", freshness.stale, "", at_most=0),
        Bar(f"{name}changes under load", changes, "", at_least=scale.changes),
        Bar(f"{name}serving errors meanwhile", rounds.most(_SERVING, "errors"), "", at_most=0),
    ]


def _set_up(server: Server, url: str) -> tuple[Shop, list[str]]:
    """The shop that is asked and rolled back, and tenants that only change."""
    tenants = [f"writer-{number}" for number in range(TENANTS)]
    with developer(server) as client:
        key = make_tenant(client, "shop")
        for kind, body in ndjson(surface_rows(ITEMS, neighbours=NEIGHBOURS, days=DAYS)):
            loads = f"{ADMIN}/shop/{kind}?surface={SURFACE}"
            client.put(loads, content=body, headers={**DEVELOPER, **NDJSON}).raise_for_status()
        versions = []
        for boost in (0.25, 0.5):
            document = rules()
            document[-1]["boost_value"] = boost
            put = client.put(f"{ADMIN}/shop/rules", json=document).raise_for_status()
            versions.append(put.json()["rules_version"])
        for tenant in tenants:
            make_tenant(client, tenant)
    asked = [
        http_request("POST", "/v1/recommend", key, msgspec.json.encode(body)) for body in requests(ITEMS)[ANCHORED]
    ]
    return Shop(url, port_of(server), WORKERS, asked, cycle(versions)), tenants


def _saturation(shop: Shop, options: Options) -> float:
    """The best rate of some rounds in a closed loop."""
    step = len(shop.asked) // CONNECTIONS
    best = 0.0
    for _ in range(options.rounds):
        sources = [islice(cycle(shop.asked), number * step, None) for number in range(CONNECTIONS)]
        best = max(best, run(hammer(shop.port, sources, options.seconds)).per_second)
    return best


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def _what(scale: Scale, rate: float) -> str:
    short = "**Quick, with a fraction of the numbers that the bars ask for.** " if scale is SHORT else ""
    return (
        f"{short}PostgreSQL, {WORKERS} workers, and all the while {rate:,.0f} req/s ({SHARE:.0%} of the best rate of "
        f"some rounds in a closed loop just before) of 10 anchors, {ITEMS:,} items, 50 rules. PUT: {WRITERS} "
        f"connections change the configs of {TENANTS} other tenants in turn, convergence not awaited. Rollback: the "
        "rules of the tenant that is asked, back and forth; served by all: from sending the call until each worker, "
        "asked every few milliseconds on a connection of its own, has answered with the version; answered: until the "
        "call came back with its receipt. Notifications lost: the trigger that sends them is disabled, and the call "
        "does not wait for a receipt. Checked: answers of the load whose request was sent after a receipt said "
        "converged; stale: an older revision than that. Generator, watchers, workers and database share the cores; "
        "nothing is pinned."
    )
