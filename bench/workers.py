"""Telling the workers of a service apart from outside, and watching when each of them serves something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from bench.http_client import Client

PATIENCE_S = 20.0
_BETWEEN_S = 0.002
"""Workers take connections from one queue: those that are busy get their turn when nobody else is waiting for one."""

Meta = Mapping[str, Any]


async def connect_to_each(port: int, question: bytes, workers: int) -> list[Client]:
    """A connection to each worker; they tell themselves apart by the prefix of their request ids."""
    found: dict[str, Client] = {}
    give_up_at = perf_counter() + PATIENCE_S
    while perf_counter() < give_up_at:
        client = await Client.connect(port)
        answer = await client.ask(question)
        worker = answer.header("x-request-id").rpartition("-")[0]
        if found.setdefault(worker, client) is not client:
            client.close()
        if len(found) == workers:
            return list(found.values())
        await asyncio.sleep(_BETWEEN_S)
    raise RuntimeError(f"In {PATIENCE_S:g} s connections reached {len(found)} of {workers} workers.")


async def until(worker: Client, question: bytes, shows: Callable[[Meta], bool], look_every_s: float) -> float:
    """When a worker first gave an answer whose ``meta`` is as wanted."""
    give_up_at = perf_counter() + PATIENCE_S
    while perf_counter() < give_up_at:
        answer = await worker.ask(question)
        if answer.status == 200 and shows(answer.json()["meta"]):
            return perf_counter()
        await asyncio.sleep(look_every_s)
    raise RuntimeError(f"A worker did not serve a change within {PATIENCE_S:g} s.")
