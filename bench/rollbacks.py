"""Rollbacks one after the other, watched on every worker, and what the answers to others show meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import msgspec

from bench.http_client import Answer, Client, http_request
from bench.service import ADMIN, DEVELOPER
from bench.workers import Meta, connect_to_each, until
from tests.support.shell import by_hand

LOOK_EVERY_S = 0.003
_PAUSE_S = 0.02
_LONGEST_S = 150.0
_REVISION = re.compile(rb'"revision":(\d+)')
_PROGRESS = 100


@dataclass(frozen=True)
class Shop:
    """A tenant with versions of rules, of which ``next_versions`` names one that is not current.

    ``asked``: the requests of its shoppers.
    """

    url: str
    port: int
    workers: int
    asked: Sequence[bytes]
    next_versions: Iterator[str]

    def rollback(self, version: str, *, wait: str = "converged") -> bytes:
        """The request that makes a version current."""
        body = msgspec.json.encode({"to": version})
        return http_request("POST", f"{ADMIN}/shop/rules/rollback?wait={wait}", DEVELOPER, body)


@dataclass
class Propagation:
    """Seconds from sending each rollback until it was answered, and until every worker served it."""

    answered: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    unconverged: int = 0


class Freshness:
    """Counts answers that show an older revision than a receipt had promised before they were asked for."""

    def __init__(self) -> None:
        self.checked = 0
        self.stale = 0
        self._promised: deque[tuple[float, int]] = deque(maxlen=100)

    def promise(self, revision: int) -> None:
        """From now on nobody who asks gets anything older."""
        self._promised.append((perf_counter(), revision))

    def check(self, data: bytes, body_at: int, sent_at: float) -> None:
        """Judge an answer of the shop."""
        promised = next((revision for at, revision in reversed(self._promised) if at <= sent_at), None)
        if promised is None:
            return
        found = _REVISION.search(data, body_at)
        self.checked += 1
        self.stale += found is None or int(found[1]) < promised


async def roll_back_often(
    shop: Shop, freshness: Freshness, times: int, checks: int, say: Callable[[str], None]
) -> Propagation:
    """Go back and forth so many times at least, and until so many answers were checked."""
    done, caller, watchers = Propagation(), await Client.connect(shop.port), await _watchers(shop)
    began = perf_counter()
    while len(done.served) < times or freshness.checked < checks:
        answer = await _roll_back(shop, caller, watchers, done)
        value = answer.json()
        if value.get("receipt", {}).get("converged"):
            freshness.promise(value["revision"])
        else:
            done.unconverged += 1
        if len(done.served) % _PROGRESS == 0:
            say(f"{len(done.served)} rollbacks, {freshness.checked:,} answers checked, {freshness.stale} stale")
        if perf_counter() - began > _LONGEST_S:
            break
        await asyncio.sleep(_PAUSE_S)
    for client in (caller, *watchers):
        client.close()
    return done


async def roll_back_unheard(shop: Shop, times: int, say: Callable[[str], None]) -> Propagation:
    """Go back and forth while nobody is told of it."""
    done, caller, watchers = Propagation(), await Client.connect(shop.port), await _watchers(shop)
    await asyncio.to_thread(by_hand, shop.url, "alter table tenants disable trigger tenants_notify")
    for _ in range(times):
        await _roll_back(shop, caller, watchers, done, wait="none")
    await asyncio.to_thread(by_hand, shop.url, "alter table tenants enable trigger tenants_notify")
    say(f"{times} rollbacks that nobody was told of: the slowest took {1e3 * max(done.served):,.0f} ms")
    for client in (caller, *watchers):
        client.close()
    return done


async def _roll_back(
    shop: Shop, caller: Client, watchers: Sequence[Client], done: Propagation, *, wait: str = "converged"
) -> Answer:
    """Move to a version that is not current, and wait until every worker serves it."""
    version, began = next(shop.next_versions), perf_counter()
    shown = [
        asyncio.create_task(until(each, shop.asked[0], partial(_shows, version), LOOK_EVERY_S)) for each in watchers
    ]
    answer = await caller.must(shop.rollback(version, wait=wait))
    done.answered.append(perf_counter() - began)
    done.served.append(max(await asyncio.gather(*shown)) - began)
    return answer


async def _watchers(shop: Shop) -> list[Client]:
    return await connect_to_each(shop.port, shop.asked[0], shop.workers)


def _shows(version: str, meta: Meta) -> bool:
    return bool(meta["rules_version"] == version)
