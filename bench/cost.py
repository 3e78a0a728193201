"""``python -m bench.cost``: where the time of a hot request goes, step by step, in this process, without a server.

The whole is the application called as ASGI. The handler without ranking is given ready answers; what its steps do not
explain is reading the headers, ids and sending. Ranking alone finds its data in the CPU's caches more often than within
the whole, so the two do not add up to it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import cycle
from statistics import median
from time import perf_counter, process_time, sleep, thread_time
from typing import Any, cast

import msgspec

from bench.http_client import run
from bench.process import SERVER_CORE, pinned
from bench.service import directory
from bench.snapshot import KEY, NOW, TENANT, directory_of, make_snapshot
from bench.synthetic import requests
from bench.synthetic_signals import shop, surface_signals
from recsys.bootstrap.settings import Settings
from recsys.bootstrap.wiring import build_service
from recsys.domain.exposure import Exposure
from recsys.service.app import build_app
from recsys.service.asgi import Application, Message, Scope
from recsys.service.authentication import Authenticator
from recsys.service.hot import ROUTES, AnswerHandler, AnswerRoute
from recsys.service.state import Service
from recsys.serving.answer import recommend
from recsys.serving.directory import Directory
from recsys.serving.replica import Replica
from recsys.serving.snapshot import Snapshot

NEIGHBOURS, DAYS = 200, 3
BATCH, BATCHES = 64, 30
DRAINED_S = 0.3
"""After which the log's thread has written what it was given."""
HEADERS = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"x-api-key", KEY.encode())]


class Held:
    """What hot handlers see of a replica: one snapshot, held."""

    def __init__(self, snapshot: Snapshot, directory: Directory) -> None:
        self.directory = directory
        self.synced, self.stale = True, False
        self._snapshot = snapshot

    def snapshot(self, tenant_id: str) -> Snapshot:
        return self._snapshot


def main() -> None:
    """Measure and print."""
    given = _arguments()
    with ExitStack() as stack:
        stack.enter_context(pinned(SERVER_CORE))
        snapshot = make_snapshot(surface_signals(shop(given.items, neighbours=NEIGHBOURS, days=DAYS)))
        service = stack.enter_context(_service(snapshot))
        print(f"CPU µs on core {SERVER_CORE}, {given.items:,} items × {NEIGHBOURS} neighbours, 50 rules, k = 20")
        for case, bodies in requests(given.items).items():
            sent = [msgspec.json.encode(body) for body in bodies]
            print(f"\n{case} (request {len(sent[0])} B)")
            for step, cost in _costs(service, snapshot, sent):
                print(f"  {step:<28}{cost:9.2f}")
            if given.profile:
                _profile(_whole(build_app(service), cycle(sent)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description="Where the time of a request goes.")
    parser.add_argument("--items", type=int, default=100_000, help="size of the tenant (default: 100,000)")
    parser.add_argument("--profile", action="store_true", help="also print the costliest functions of each case")
    return parser.parse_args()


@contextmanager
def _service(snapshot: Snapshot) -> Iterator[Service]:
    """The service as it is wired, with its log, but for the replica; nothing connects to its database."""
    held = cast("Replica", Held(snapshot, directory_of()))
    with directory() as path:
        built = build_service(Settings(db=f"sqlite:///{path}/unused.db"))
        service = replace(built, replica=held, authenticator=Authenticator(held))
        service.log.start()
        yield service
        run(service.log.stop())


def _costs(service: Service, snapshot: Snapshot, sent: list[bytes]) -> Iterator[tuple[str, float]]:
    """Each step by itself, on the same requests, and the whole."""
    route = cast("AnswerRoute", ROUTES[0])
    handler = AnswerHandler(service, route)
    decoded = [cast("Any", handler._read_request(body)) for body in sent]
    answers = [
        recommend(snapshot, request, request_id="bench", now=NOW, stale=False)
        for request in decoded
    ]  # fmt: skip
    headers, encode = dict(HEADERS), msgspec.json.Encoder().encode
    bodies, asked, answered = cycle(sent), cycle(decoded), cycle(answers)

    def decode() -> None:
        route.check(handler._read_request(next(bodies)))

    def authenticate() -> None:
        service.authenticator.admit(headers)

    def rank() -> None:
        recommend(snapshot, next(asked), request_id="bench", now=NOW, stale=False)

    def count() -> None:
        answer = next(answered)
        service.metrics.answer(TENANT.id, len(answer.items), 20, answer.warnings)
        service.metrics.request("POST /v1/recommend", 200, perf_counter() - perf_counter())

    def expose() -> None:
        answer = next(answered)
        sent = (msgspec.Raw(encode(answer.items)), msgspec.Raw(encode(answer.meta)))
        service.log.expose(Exposure(NOW, "recommend", "subject", 20, answer.items, answer.meta, *sent))

    steps = {
        "decode": decode, "authenticate": authenticate, "metrics": count, "encode, expose": expose,
    }  # fmt: skip
    costs = {name: micros_each(step)[0] for name, step in steps.items()}
    yield from costs.items()
    ready = AnswerHandler(service, replace(route, answer=lambda *_, **__: next(answered)))
    all_but_rank, beside = micros_each(_whole(ready, cycle(sent)))
    yield "the rest of the handler", all_but_rank - sum(costs.values())
    yield "the handler without ranking", all_but_rank
    yield "the log's thread beside it", beside
    yield "rank", micros_each(rank)[0]
    yield "whole, as ASGI", micros_each(_whole(build_app(service), cycle(sent)))[0]
    yield "answer, B", median(len(encode(answer)) for answer in answers)


def _whole(application: Application, bodies: Iterator[bytes]) -> Callable[[], None]:
    """One request through the whole application, which never has to wait, so no loop is needed."""
    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/recommend", "headers": HEADERS}
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": next(bodies), "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    def one() -> None:
        for _ in cast("Any", application(scope, receive, send)).__await__():
            raise RuntimeError("A hot request waited for something.")
        if statuses.pop() != 200:
            raise RuntimeError("A request failed.")

    return one


def micros_each(what: Callable[[], None]) -> tuple[float, float]:
    """The CPU time of a call in µs on this thread and, beside it, on others.

    The lower quartile over batches, after a warm-up: what else the machine does makes calls dearer, never cheaper.
    """
    for _ in range(2 * BATCH):
        what()
    costs = []
    everything, here = process_time(), thread_time()
    for _ in range(BATCHES):
        began = thread_time()
        for _ in range(BATCH):
            what()
        costs.append(1e6 * (thread_time() - began) / BATCH)
    sleep(DRAINED_S)
    others = process_time() - everything - (thread_time() - here)
    return sorted(costs)[BATCHES // 4], 1e6 * others / (BATCH * BATCHES)


def _profile(what: Callable[[], None]) -> None:
    with cProfile.Profile() as profile:
        for _ in range(1_000):
            what()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
