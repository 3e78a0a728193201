"""``steady``: latency at half of saturation, and what changing documents or signals under that load does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter

import msgspec

from bench.figure import Bar, Options, Rounds, Section, percentile
from bench.http_client import Client, http_request, run
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
EVERY_S, LOOK_EVERY_S = 0.5, 0.01
SIGNAL_CHANGES = 4
"""In a window, one each second."""
WARM_UP_S = 1.0
P99_MS, TIMES = 5.0, 2.0
QUIET, DOCUMENTS, SIGNALS = "no changes", "rules changed every 0.5 s", "signals changed every second"


@dataclass
class Changes:
    """What is changed under load, until the load has ``ended``; ``refused``: those not answered 200."""

    ended: asyncio.Event
    made: int = 0
    refused: int = 0
    slowest: float = 0.0

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the load lasts."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), max(0.0, seconds))

    def note(self, seconds: float, *, done: bool = True) -> None:
        """One change."""
        self.made += 1
        self.refused += not done
        self.slowest = max(self.slowest, seconds)


Change = Callable[[Changes], Awaitable[None]]


def measure(options: Options) -> Section:
    """Windows of load without changes, with changes of documents, with changes of signals, in turn."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        shops = prepare(path, [ITEMS], revisions=1 + options.rounds * SIGNAL_CHANGES)
        recsys = stack.enter_context(shops.serving())
        stack.enter_context(pinned(GENERATOR_CORE))
        sent = encoded(shops.tenants[ITEMS])[ANCHORED]
        load(recsys, sent, options.connections, WARM_UP_S)
        loads = [load(recsys, sent, options.connections, options.seconds) for _ in range(options.rounds)]
        rate = SHARE * max(each.per_second for each in loads)
        ways: dict[str, Change] = {
            QUIET: _nothing,
            DOCUMENTS: lambda changes: _change_rules(recsys, shops, changes),
            SIGNALS: lambda changes: _change_signals(recsys, shops, sent, changes),
        }
        for _ in range(options.rounds):
            quiet = 0.0
            for case, change in ways.items():
                loop, changes = run(_window(recsys, sent, rate, change))
                p99 = 1e3 * percentile(loop.load.latencies, 99)
                quiet = quiet or p99
                _note(case, loop, rounds)
                rounds.add(case, "p99 of that without changes", "×", p99 / quiet)
                if change is not _nothing:
                    rounds.add(case, "changes", "", changes.made)
                    rounds.add(case, "of them refused", "", changes.refused)
                    rounds.add(case, "slowest change", "ms", 1e3 * changes.slowest)
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


def _note(case: str, loop: OpenLoop, rounds: Rounds) -> None:
    done = loop.load
    rounds.add(case, "rate", "req/s", len(done.latencies) / done.seconds)
    for percent in (50, 99, 99.9):
        rounds.add(case, f"p{percent:g}", "ms", 1e3 * percentile(done.latencies, percent))
    rounds.add(case, "slowest", "ms", 1e3 * max(done.latencies))
    rounds.add(case, "errors", "", done.statuses.total() - done.statuses[200])
    rounds.add(case, "sent late, p99", "ms", 1e3 * percentile(loop.late, 99))


async def _window(target: Target, sent: Sequence[bytes], rate: float, change: Change) -> tuple[OpenLoop, Changes]:
    """Load for a while, with changes from its first second on."""
    loop, changes = OpenLoop(cycle(sent), rate, WINDOW_S), Changes(asyncio.Event())
    changing = asyncio.create_task(_after_a_second(change, changes))
    await loop.run(target.port, CONNECTIONS)
    changes.ended.set()
    await changing
    return loop, changes


async def _after_a_second(change: Change, changes: Changes) -> None:
    await asyncio.sleep(1)
    await change(changes)


async def _nothing(_: Changes) -> None:
    pass


async def _change_rules(target: Target, shops: Shops, changes: Changes) -> None:
    """Put rules that differ in a boost, again and again; when a PUT is answered, its rules are served."""
    client = await Client.connect(target.port)
    path = f"{ADMIN}/{shops.tenants[ITEMS].name}/rules"
    while not changes.ended.is_set():
        changed = rules()
        began = perf_counter()
        changed[-1]["boost_value"] = 0.01 + began % 1
        answer = await client.ask(http_request("PUT", path, DEVELOPER, msgspec.json.encode(changed)))
        changes.note(perf_counter() - began, done=answer.status == 200)
        await changes.pause(EVERY_S)
    client.close()


async def _change_signals(target: Target, shops: Shops, sent: Sequence[bytes], changes: Changes) -> None:
    """Make one data revision after the other current, whose files are there; a change is over when it is served."""
    client = await Client.connect(target.port)
    while changes.made < SIGNAL_CHANGES and not changes.ended.is_set():
        began = perf_counter()
        revision = await asyncio.to_thread(shops.raise_data_revision, ITEMS)
        while (await client.must(sent[0])).json()["meta"]["data_revision"] < revision:
            await changes.pause(LOOK_EVERY_S)
        changes.note(perf_counter() - began)
        await changes.pause(1 - (perf_counter() - began))
    client.close()


def _what(rate: float) -> str:
    return (
        f"10 anchors, {ITEMS:,} items × {NEIGHBOURS} neighbours, all as in `serve`; {SHARE:.0%} of the best rate of "
        f"some rounds in a closed loop just before: {rate:,.0f} req/s, arriving as they would (a Poisson process), "
        f"whether or not the ones before are answered, {CONNECTIONS} connections, windows of {WINDOW_S:g} s in turn. "
        "Latency counts from the time of arrival. Everything that a change costs, its PUT and the building of the "
        f"snapshot, happens on the worker's one core {SERVER_CORE}. Sent late: how long after its arrival the "
        "generator sent a request. Slowest change: until its PUT was answered, or until the new signals were served, "
        "whose file is there but not yet verified."
    )
