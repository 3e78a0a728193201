"""``serve``: one worker on one core beside the yardstick and a Litestar handler, in turn; load from the other core."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Bar, Options, Rounds, Section, percentile
from bench.load_generator import Load
from bench.process import GENERATOR_CORE, SERVER_CORE, memory, pinned
from bench.service import directory
from bench.synthetic import ANCHORED, ANONYMOUS, CASES
from bench.target import Target, counted, litestar, load, typical_answer, yardstick
from bench.tenants import NEIGHBOURS, Shops, encoded, prepare

ITEMS = 100_000
WARM_UP_S = 0.5
_BARS = ((ANCHORED, 0.35), (ANONYMOUS, 0.6))


def measure(options: Options) -> Section:
    """Every case on all three."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        shops = prepare(path, [ITEMS])
        recsys = stack.enter_context(shops.serving())
        stack.enter_context(pinned(GENERATOR_CORE))
        for case, sent in encoded(shops.tenants[ITEMS]).items():
            _measure_case(case, sent, recsys, shops, options, rounds)
    bars = [
        Bar(f"{case}, {ITEMS:,} items: rate of the yardstick's", rounds.median(_name(case, recsys), _RATIO), "×", limit)
        for case, limit in _BARS
    ]
    dropped = max(rounds.most(_name(case, recsys), _DROPPED) for case in CASES)
    bars.append(Bar("exposures dropped while measuring (worst round)", dropped, "", at_most=0))
    return Section("serve", _what(options), rounds.figures(), bars)


_DROPPED, _DROP_COUNTER = "exposures dropped", "recsys_exposures_dropped_total"
_RATIO = "rate of the yardstick's"


def _name(case: str, target: Target) -> str:
    return f"{case}: {target.name}"


@dataclass(frozen=True)
class Round:
    """What came of one round, and what it cost the server; ``dropped``: exposures that did not get into the log."""

    load: Load
    cpu: float
    dropped: float

    @property
    def cost(self) -> float:
        """CPU seconds per request."""
        return self.cpu / len(self.load.latencies)


def _measure_case(
    case: str, sent: Sequence[bytes], recsys: Target, shops: Shops, options: Options, rounds: Rounds
) -> None:
    answer = typical_answer(recsys, sent)
    rounds.add(_name(case, recsys), "answer", "B", len(answer))
    with yardstick(answer) as constant, litestar(answer, shops.path) as typed:
        targets = [recsys, constant, typed]
        for target in targets:
            load(target, sent, options.connections, WARM_UP_S)
        for number in range(options.rounds):
            done = {}
            for target in targets if number % 2 == 0 else reversed(targets):
                done[target] = _ask(target, sent, options, logs=target is recsys)
                _note(_name(case, target), target, done[target], shops.cache, rounds)
            for target in (recsys, typed):
                rate = done[target].load.per_second / done[constant].load.per_second
                rounds.add(_name(case, target), _RATIO, "×", rate)
                rounds.add(_name(case, target), "CPU of the yardstick's", "×", done[target].cost / done[constant].cost)
            rounds.add(_name(case, recsys), _DROPPED, "", done[recsys].dropped)


def _ask(target: Target, sent: Sequence[bytes], options: Options, *, logs: bool) -> Round:
    dropped = counted(target, _DROP_COUNTER) if logs else 0
    cpu = target.cpu_seconds()
    done = load(target, sent, options.connections, options.seconds)
    spent = target.cpu_seconds() - cpu
    return Round(done, spent, counted(target, _DROP_COUNTER) - dropped if logs else 0)


def _note(case: str, target: Target, done: Round, cache: Path, rounds: Rounds) -> None:
    held = memory(target.pids[0], cache)
    rounds.add(case, "rate", "req/s", done.load.per_second)
    rounds.add(case, "p50", "ms", 1e3 * percentile(done.load.latencies, 50))
    rounds.add(case, "p99", "ms", 1e3 * percentile(done.load.latencies, 99))
    rounds.add(case, "server CPU", "µs/req", 1e6 * done.cost)
    rounds.add(case, "server busy", "%", 100 * done.cpu / done.load.seconds)
    rounds.add(case, "generator busy", "%", 100 * done.load.client_share)
    rounds.add(case, "RSS", "MB", held.rss)
    rounds.add(case, "of it private", "MB", held.private)


def _what(options: Options) -> str:
    return (
        f"One worker on core {SERVER_CORE}, the generator with {options.connections} connections on core "
        f"{GENERATOR_CORE}, SQLite; {ITEMS:,} items × {NEIGHBOURS} neighbours from a prepared file, 5 tags, 50 rules, "
        "MMR, k = 20, API key, exposure log. Yardstick: a raw ASGI app on the same uvicorn settings, a constant answer "
        "of the length of this case's median answer. Litestar handler: the service's request type decoded, an answer "
        "of the service encoded, nothing in between. "
        f"Rounds of {options.seconds:g} s alternate, ratios are made per round; latencies include waiting behind the "
        "other connections. A server less than about 95 % busy was not at its limit, because other processes had the "
        "core or because it waited for the generator, as the yardstick always does a little. Its rate is then too low, "
        "and a ratio of rates to it too favourable; compare by CPU. CPU is what /proc books on the process; part of "
        "the kernel's network work is not."
    )
