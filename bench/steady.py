"""``steady``: latency at half of saturation, and what changing documents or signals under that load does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import cycle
from time import perf_counter

import msgspec

from bench.figure import Bar, Options, Rounds, Section, percentile
from bench.http_client import Client, http_request, run
from bench.load_generator import Load
from bench.open_loop import OpenLoop
from bench.process import GENERATOR_CORE, SERVER_CORE, pinned
from bench.service import ADMIN, DEVELOPER, directory
from bench.synthetic import ANCHORED, rules
from bench.target import Target, load
from bench.tenants import NEIGHBOURS, Shops, encoded, prepare

ITEMS = 100_000
SHARE = 0.5
CONNECTIONS = 64
WINDOW_S = 5.0
EVERY_S = 0.5
WARM_UP_S = 1.0
P99_MS, TIMES = 5.0, 2.0
QUIET, DOCUMENTS, SIGNALS = "no changes", "rules changed every 0.5 s", "signals changed once"

Change = Callable[[asyncio.Event], Awaitable[float]]
"""What happens until the load has ended; gives the slowest change in seconds."""


def measure(options: Options) -> Section:
    """Windows of load without changes, with changes of documents, with a change of signals, in turn."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        shops = prepare(path, [ITEMS], revisions=options.rounds + 1)
        recsys = stack.enter_context(shops.serving())
        stack.enter_context(pinned(GENERATOR_CORE))
        sent = encoded(shops.tenants[ITEMS])[ANCHORED]
        load(recsys, sent, options.connections, WARM_UP_S)
        loads = [load(recsys, sent, options.connections, options.seconds) for _ in range(options.rounds)]
        rate = SHARE * max(each.per_second for each in loads)
        ways: dict[str, Change] = {
            QUIET: _nothing,
            DOCUMENTS: lambda ended: _change_rules(recsys, shops, ended),
            SIGNALS: lambda _: _change_signals(recsys, shops, sent),
        }
        for _ in range(options.rounds):
            quiet = 0.0
            for case, change in ways.items():
                done, late, slowest = run(_window(recsys, sent, rate, change))
                p99 = 1e3 * percentile(done.latencies, 99)
                quiet = quiet or p99
                _note(case, done, late, rounds)
                if case != QUIET:
                    rounds.add(case, "slowest change", "ms", 1e3 * slowest)
                rounds.add(case, "p99 of that without changes", "×", p99 / quiet)
    return Section("steady", _what(rate), rounds.figures(), _bars(rounds))


def _bars(rounds: Rounds) -> list[Bar]:
    held = f"10 anchors, {ITEMS:,} items, half of saturation"
    bars = [Bar(f"{held}: p99", rounds.median(QUIET, "p99"), "ms", at_most=P99_MS)]
    for case in (DOCUMENTS, SIGNALS):
        errors = rounds.most(case, "errors")
        bars.append(Bar(f"{held}, {case}: errors (worst round)", errors, "", at_most=0))
        times = rounds.median(case, "p99 of that without changes")
        bars.append(Bar(f"{held}, {case}: p99 of that without", times, "×", at_most=TIMES))
    return bars


def _note(case: str, done: Load, late: float, rounds: Rounds) -> None:
    rounds.add(case, "rate", "req/s", len(done.latencies) / done.seconds)
    for percent in (50, 99, 99.9):
        rounds.add(case, f"p{percent:g}", "ms", 1e3 * percentile(done.latencies, percent))
    rounds.add(case, "slowest", "ms", 1e3 * max(done.latencies))
    rounds.add(case, "errors", "", done.statuses.total() - done.statuses[200])
    rounds.add(case, "sent late, p99", "ms", 1e3 * late)


async def _window(target: Target, sent: Sequence[bytes], rate: float, change: Change) -> tuple[Load, float, float]:
    """Load for a while, with changes from its first second on.

    Returns:
        The load, how late the generator was (p99, seconds), and the slowest change.
    """
    loop, ended = OpenLoop(cycle(sent), rate, WINDOW_S), asyncio.Event()
    changing = asyncio.create_task(_after_a_second(change, ended))
    done = await loop.run(target.port, CONNECTIONS)
    ended.set()
    return done, percentile(loop.late, 99), await changing


async def _after_a_second(change: Change, ended: asyncio.Event) -> float:
    await asyncio.sleep(1)
    return await change(ended)


async def _nothing(_: asyncio.Event) -> float:
    return 0.0


async def _change_rules(target: Target, shops: Shops, ended: asyncio.Event) -> float:
    """Put rules that differ in a boost, again and again; the longest until a PUT was answered, and so served."""
    client = await Client.connect(target.port)
    path = f"{ADMIN}/{shops.tenants[ITEMS].name}/rules"
    slowest = 0.0
    while not ended.is_set():
        changed = rules()
        began = perf_counter()
        changed[-1]["boost_value"] = 0.01 + began % 1
        await client.must(http_request("PUT", path, DEVELOPER, msgspec.json.encode(changed)))
        slowest = max(slowest, perf_counter() - began)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), EVERY_S)
    client.close()
    return slowest


async def _change_signals(target: Target, shops: Shops, sent: Sequence[bytes]) -> float:
    """Make the next data revision current, whose file is there; how long until it was served."""
    client = await Client.connect(target.port)
    began = perf_counter()
    revision = await asyncio.to_thread(shops.raise_data_revision, ITEMS)
    while True:
        answer = await client.must(sent[0])
        if answer.json()["meta"]["data_revision"] >= revision:
            break
        await asyncio.sleep(0.01)
    client.close()
    return perf_counter() - began


def _what(rate: float) -> str:
    return (
        f"10 anchors, {ITEMS:,} items × {NEIGHBOURS} neighbours, all as in `serve`; {SHARE:.0%} of the best rate of some "
        f"rounds in a closed loop just before: {rate:,.0f} req/s, arriving as they would (a Poisson process), whether or "
        f"not the ones before are answered, {CONNECTIONS} connections, windows of {WINDOW_S:g} s in turn. Latency "
        "counts from the time of arrival. Everything that a change costs, its PUT and the building of the snapshot, "
        f"happens on the worker's one core {SERVER_CORE}. Sent late: how long after its arrival the generator sent a "
        "request. Slowest change: until its PUT was answered, or until the new signals were served, whose file is there "
        "but not yet verified."
    )
