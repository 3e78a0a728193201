"""``grow``: what a request costs with 1,000 to 1,000,000 items, four tenants of one worker, alternating."""

from __future__ import annotations

from contextlib import ExitStack

from bench.figure import Bar, Options, Rounds, Section
from bench.process import GENERATOR_CORE, SERVER_CORE, pinned
from bench.service import directory
from bench.synthetic import CASES
from bench.target import load
from bench.tenants import NEIGHBOURS, encoded, prepare

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BAR_FROM, BAR_TO, BAR = 10_000, 1_000_000, 1.5
WARM_UP_S = 0.3


def measure(options: Options) -> Section:
    """CPU per request of each case and size; all sizes in turn within a round."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        shops = prepare(path, SIZES)
        recsys = stack.enter_context(shops.serving())
        stack.enter_context(pinned(GENERATOR_CORE))
        sent = {size: encoded(shops.tenants[size]) for size in SIZES}
        cases = list(dict.fromkeys(case for each in sent.values() for case in each))
        for case in cases:
            having = [size for size in SIZES if case in sent[size]]
            for size in having:
                load(recsys, sent[size][case], options.connections, WARM_UP_S)
            for number in range(options.rounds):
                costs = {}
                for size in having if number % 2 == 0 else reversed(having):
                    cpu = recsys.cpu_seconds()
                    done = load(recsys, sent[size][case], options.connections, options.seconds / 2)
                    costs[size] = 1e6 * (recsys.cpu_seconds() - cpu) / len(done.latencies)
                    rounds.add(case, f"{size:,} items", "µs/req", costs[size])
                if BAR_FROM in costs and BAR_TO in costs:
                    rounds.add(case, _GROWTH, "×", costs[BAR_TO] / costs[BAR_FROM])
    bars = [Bar(f"{case}: cost, {_GROWTH}", rounds.median(case, _GROWTH), "×", at_most=BAR) for case in CASES]
    what = (
        f"CPU that /proc books on one worker on core {SERVER_CORE} per request, {NEIGHBOURS} neighbours per item, all "
        "else as in `serve`; the tenants live in one process and are asked in turn, each as often as any other. All "
        "signals: on a size where a tenant with every kind of list is quick to draw."
    )
    return Section("grow", what, rounds.figures(), bars)


_GROWTH = f"{BAR_TO:,} of {BAR_FROM:,} items"
