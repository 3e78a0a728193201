"""``rank``: what an answer and a snapshot cost without HTTP and database, in this process on one core."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle
from time import process_time

import msgspec

from bench.figure import Options, Rounds, Section
from bench.process import SERVER_CORE, pinned
from bench.snapshot import NOW, TENANT, tenant_documents
from bench.synthetic import SURFACE, requests
from bench.synthetic_signals import surface_rows
from recsys.domain.catalogue import SurfaceRows
from recsys.domain.recommend import RecommendRequest
from recsys.serving.answer import recommend
from recsys.serving.snapshot import Snapshot, build_part, compose, read_documents

SIZES = (10_000, 100_000)
NEIGHBOURS, DAYS = 10, 3
BATCH = 50


def measure(options: Options) -> Section:
    """Answers and builds for each size, alternating."""
    rounds = Rounds()
    rows = {size: surface_rows(size, neighbours=NEIGHBOURS, days=DAYS) for size in SIZES}
    with pinned(SERVER_CORE):
        build_part(surface_rows(100, neighbours=NEIGHBOURS, days=DAYS))  # whatever is compiled, is now
        for _ in range(options.rounds):
            for size in SIZES:
                snapshot = _measure_builds(size, rows[size], rounds)
                _measure_answers(size, snapshot, options.seconds / 4, rounds)
    what = (
        f"CPU time (one thread, no I/O) in this process on core {SERVER_CORE}: `recommend` on a snapshot, k = 20, "
        f"{NEIGHBOURS} neighbours per item, 50 rules. Signals: rows → arrays, after a load. Documents: read config and "
        "rules and compose, after a change."
    )
    return Section("rank", what, rounds.figures())


def _measure_builds(size: int, rows: SurfaceRows, rounds: Rounds) -> Snapshot:
    documents = tenant_documents()
    began = process_time()
    part = build_part(rows)
    rounds.add(f"{size:,} items", "build signals", "ms", 1e3 * (process_time() - began))
    put_together = partial(compose, TENANT, parts={SURFACE: part}, previous=None, data_revision=1, now=NOW)
    put_together(read_documents(documents))  # the popularity order is kept with the signals
    began = process_time()
    snapshot = put_together(read_documents(documents))
    rounds.add(f"{size:,} items", "build documents", "ms", 1e3 * (process_time() - began))
    return snapshot


def _measure_answers(size: int, snapshot: Snapshot, seconds: float, rounds: Rounds) -> None:
    for case, bodies in requests(size).items():
        asked = cycle([msgspec.convert(body, RecommendRequest) for body in bodies])
        answer = partial(recommend, snapshot, request_id="bench", now=NOW, stale=False)

        def one(asked: cycle[RecommendRequest] = asked, answer: Callable[..., object] = answer) -> None:
            answer(next(asked))

        rounds.add(f"{size:,} items", case, "µs", 1e6 * _seconds_each(one, seconds))


def _seconds_each(what: Callable[[], None], seconds: float) -> float:
    """The mean CPU time of a call, over batches for at least so long, after a warm-up."""
    for _ in range(BATCH):
        what()
    calls, began = 0, process_time()
    while (passed := process_time() - began) < seconds or not calls:
        for _ in range(BATCH):
            what()
        calls += BATCH
    return passed / calls
