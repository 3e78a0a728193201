"""``share``: a million items in two workers: what they share, what each needs for itself, how much faster two are."""

from __future__ import annotations

from contextlib import ExitStack

from bench.figure import Bar, Options, Rounds, Section
from bench.process import GENERATOR_CORE, memory, pinned
from bench.service import directory
from bench.synthetic import ANCHORED
from bench.target import load
from bench.tenants import NEIGHBOURS, Shops, encoded, prepare

ITEMS = 1_000_000
WORKERS = 2
WARM_UP_S = 2.0
SHARED_MB, PRIVATE_MB = 3_000, 400


def measure(options: Options) -> Section:
    """Memory after every case was asked; rates of one and of two workers."""
    rounds = Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        shops = prepare(path, [ITEMS])
        for workers in (1, WORKERS):
            _measure_workers(workers, shops, options, rounds)
    one, two = (_case(workers) for workers in (1, WORKERS))
    rounds.add(two, "rate of one worker's", "×", rounds.median(two, "rate") / rounds.median(one, "rate"))
    held = f"{ITEMS:,} items × {NEIGHBOURS} neighbours, {WORKERS} workers"
    bars = [
        Bar(f"{held}: shared", rounds.most(two, "shared: mapped files"), "MB", at_most=SHARED_MB),
        Bar(f"{held}: private of the larger worker", rounds.most(two, "private"), "MB", at_most=PRIVATE_MB),
    ]
    what = (
        f"The tenant of {ITEMS:,} items alone; every case asked for {WARM_UP_S:g} s, then the 10 anchors for "
        f"{options.seconds:g} s a round. Memory from /proc/<pid>/smaps of each worker at the end; shared: resident "
        "pages of the mapped files, which all workers of a host have once; private: what only that worker has, these "
        "files aside. This machine has two cores and no third for the generator: with two workers it shares theirs, "
        "so the rate of two is lower than two cores could do."
    )
    return Section("share", what, rounds.figures(), bars)


def _case(workers: int) -> str:
    return f"{workers} workers" if workers > 1 else "1 worker"


def _measure_workers(workers: int, shops: Shops, options: Options, rounds: Rounds) -> None:
    with ExitStack() as stack:
        recsys = stack.enter_context(shops.serving(workers))
        if workers == 1:
            stack.enter_context(pinned(GENERATOR_CORE))
        cases = encoded(shops.tenants[ITEMS])
        for sent in cases.values():
            load(recsys, sent, options.connections, WARM_UP_S / len(cases) * workers)
        for _ in range(options.rounds):
            done = load(recsys, cases[ANCHORED], options.connections, options.seconds)
            rounds.add(_case(workers), "rate", "req/s", done.per_second)
        for pid in recsys.pids:
            held = memory(pid, shops.cache)
            rounds.add(_case(workers), "shared: mapped files", "MB", held.mapped)
            rounds.add(_case(workers), "private", "MB", held.private)
            rounds.add(_case(workers), "Pss", "MB", held.pss)
            rounds.add(_case(workers), "RSS", "MB", held.rss)
