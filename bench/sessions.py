"""``sessions``: what a query of VMIS-kNN takes, over the past sessions of a large shop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time

import msgspec
import numpy as np

from bench.figure import Bar, Options, Rounds, Section, percentile
from bench.process import SERVER_CORE, pinned
from bench.snapshot import NOW, TENANT, make_snapshot
from bench.synthetic import SURFACE, item_codes, item_id
from bench.synthetic_events import draw_sessions
from bench.synthetic_signals import shop, surface_signals
from recsys.domain.recommend import RecommendRequest
from recsys.ranking.arrays import Indices
from recsys.ranking.session_index import SessionIndex, build_session_index
from recsys.serving.answer import recommend

ITEMS, EVENTS, QUICK_EVENTS = 200_000, 10_000_000, 1_000_000
QUERIES, QUICK_QUERIES = 20_000, 2_000
QUERY_US = 300.0
FIND, ANSWER = "find the sessions", "answer of 20 items"


def measure(options: Options) -> Section:
    """Time each query by itself."""
    events, queries = (QUICK_EVENTS, QUICK_QUERIES) if options.quick else (EVENTS, QUERIES)
    rounds = Rounds()
    with pinned(SERVER_CORE):
        began = process_time()
        past, asked = _index(events, queries)
        case = f"{past.items.starts.size - 1:,} sessions, {events:,} events, {ITEMS:,} items"
        rounds.add(case, "draw and index", "s", process_time() - began)
        answers = _answers(past, asked)
        for _ in range(options.rounds):
            for name, calls in ((FIND, _finds(past, asked)), (ANSWER, answers)):
                times = _times(calls)
                for percent in (50, 90, 99):
                    rounds.add(case, f"{name}, p{percent}", "µs", 1e6 * percentile(times, percent))
    bar = Bar(f"{case}: VMIS-kNN, {ANSWER}, p90", rounds.median(case, f"{ANSWER}, p90"), "µs", at_most=QUERY_US)
    what = (
        f"Wall time of each of {queries:,} queries in this process on core {SERVER_CORE}, one after the other. The "
        "sessions are those of `pipelines`: median 3 items, mean 6, at most 30, skewed items. Anchors: the last two "
        "items of a session drawn as these are, so that most are popular and many sessions have them. Find: the "
        "most similar sessions and their weights. Answer: the whole of `recommend` with the algorithm `session_seq`, "
        "from anchors to 20 items; config and 50 rules as in `rank`."
    )
    return Section("sessions", what, rounds.figures(), [bar])


def _index(events: int, queries: int) -> tuple[SessionIndex, list[list[int]]]:
    """Past sessions, and the last two different items of others, numbered by popularity."""
    lengths, items = draw_sessions(events, ITEMS, 20_260_105)
    past = build_session_index(np.concatenate(([0], np.cumsum(lengths))), _places()[items], ITEMS)
    lengths, items = draw_sessions(queries * 6, ITEMS, 20_260_106)
    ends = np.cumsum(lengths)
    last_two = zip(np.maximum(ends - 2, ends - lengths).tolist(), ends.tolist(), strict=True)
    return past, [list(dict.fromkeys(items[begin:end].tolist())) for begin, end in last_two]


def _places() -> Indices:
    """Where the items, which are numbered by popularity, stand in the order of their ids."""
    return np.argsort(np.argsort(item_codes(ITEMS))).astype(np.int32)


def _finds(past: SessionIndex, asked: list[list[int]]) -> list[Callable[[], object]]:
    places = _places()
    return [partial(past.find, places[each]) for each in asked]


def _answers(past: SessionIndex, asked: list[list[int]]) -> list[Callable[[], object]]:
    signals = surface_signals(shop(ITEMS, neighbours=10, days=1), TENANT.id)
    answer = partial(
        recommend, make_snapshot(replace(signals, sessions=past)), request_id="bench", now=NOW, stale=False
    )
    plain = {"surface": SURFACE, "user": {"anonymous_id": "a"}, "algorithm": "session_seq"}
    bodies = [{**plain, "anchors": {"item_ids": [item_id(number) for number in each]}} for each in asked]
    return [partial(answer, msgspec.convert(body, RecommendRequest)) for body in bodies]


def _times(calls: list[Callable[[], object]]) -> list[float]:
    for call in calls[:200]:
        call()
    times = []
    for call in calls:
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return times
