"""From a statement in the database to every worker serving what it says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import msgspec

from bench.figure import Options, Rounds, percentile
from bench.http_client import http_request, run
from bench.service import ADMIN, developer, make_tenant, port_of
from bench.synthetic import SURFACE
from bench.workers import Meta, connect_to_each, until
from tests.support.server import Server, serve
from tests.support.shell import by_hand

WORKERS, MOVES = 2, 20
LOOK_EVERY_S = 0.002


@dataclass(frozen=True)
class Subject:
    """A tenant with two config versions to move between."""

    url: str
    port: int
    tenant_id: str
    key: Mapping[str, str]
    versions: tuple[str, str]

    def statement(self, version: str) -> str:
        """The statement of the runbook."""
        return (
            "update tenant_configs_current set config_version_id = (select id from tenant_config_versions "
            f"where etag = '{version}' and tenant_id = '{self.tenant_id}'), updated_by_sub = 'bench', "
            f"updated_at = now() where tenant_id = '{self.tenant_id}'"
        )

    def question(self) -> bytes:
        body = msgspec.json.encode({"surface": SURFACE, "k": 1, "user": {"anonymous_id": "a"}})
        return http_request("POST", "/v1/recommend", self.key, body)


def measure_break_glass(fresh: dict[str, Callable[[], str]], path: Path, options: Options, rounds: Rounds) -> None:
    """Move a pointer by hand, again and again, on each kind of database in turn."""
    with ExitStack() as stack:
        subjects = {}
        for name, make in fresh.items():
            url = make()
            subjects[name] = _set_up(url, stack.enter_context(serve(url, path, workers=WORKERS)))
        for _ in range(options.rounds):
            for name, subject in subjects.items():
                latencies = run(_move_often(subject))
                rounds.add(name, "break-glass p50", "ms", 1e3 * percentile(latencies, 50))
                rounds.add(name, "break-glass max", "ms", 1e3 * max(latencies))


def _set_up(url: str, server: Server) -> Subject:
    with developer(server) as client:
        key = make_tenant(client, "shop")
        tenant_id = client.get(f"{ADMIN}/shop").raise_for_status().json()["id"]
        first, second = (
            client.put(f"{ADMIN}/shop/config", json={"weights": {"pop": pop}}).raise_for_status().json()
            for pop in (1, 2)
        )
    versions = (first["config_version"], second["config_version"])
    return Subject(url, port_of(server), tenant_id, key, versions)


async def _move_often(subject: Subject) -> list[float]:
    workers = await connect_to_each(subject.port, subject.question(), WORKERS)
    draw = random.Random(1)
    latencies = []
    for number in range(MOVES):
        await asyncio.sleep(draw.uniform(0, 0.1))  # at any time between two polls
        version = subject.versions[number % 2]
        began = perf_counter()
        shows = partial(_shows, version)
        shown = [asyncio.create_task(until(each, subject.question(), shows, LOOK_EVERY_S)) for each in workers]
        await asyncio.to_thread(by_hand, subject.url, subject.statement(version))
        latencies.append(max(await asyncio.gather(*shown)) - began)
    for worker in workers:
        worker.close()
    return latencies


def _shows(version: str, meta: Meta) -> bool:
    return bool(meta["config_version"] == version)
