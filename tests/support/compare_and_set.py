"""Clients that read a document, and set it on condition that nobody else did meanwhile; they remember what they saw."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

from tests.support.linearity import Read, Write

EVERYWHERE = {"X-Dev-User-Id": "ann"}
"""Bound to no tenant."""
VALUES: dict[str, list[Any]] = {
    "config": [{"weights": {"pop": 1 + n}} for n in range(4)],
    "rules": [[{"action": "block", "target_type": "item", "target_key": f"i{n}"}] for n in range(4)],
}
"""Few, so that they come back: a hash cannot tell A from A after B."""

Register = tuple[str, str]
"""A tenant's external id and a document."""


class Writers:
    """Many clients at once on several services; what they saw by tenant and document."""

    def __init__(self, urls: Sequence[str], registers: Sequence[Register], seed: int) -> None:
        self.writes: dict[Register, list[Write]] = defaultdict(list)
        self.reads: dict[Register, list[Read]] = defaultdict(list)
        self.odd: list[str] = []
        self.done = 0
        self._urls = urls
        self._registers = registers
        self._seed = seed
        self._numbers = itertools.count()

    def run(self, writers: int, operations: int) -> None:
        """Do so many compare-and-sets in all."""
        asyncio.run(self._run(writers, operations))

    async def _run(self, writers: int, operations: int) -> None:
        await asyncio.gather(*(self._write(number, operations) for number in range(writers)))

    async def _write(self, number: int, operations: int) -> None:
        dice = random.Random(self._seed + number)
        url = self._urls[number % len(self._urls)]
        async with httpx.AsyncClient(base_url=url, headers=EVERYWHERE, timeout=60, trust_env=False) as client:
            while (operation := next(self._numbers)) < operations:
                await self._compare_and_set(client, dice.choice(self._registers), f"w{operation}", dice)
                self.done += 1

    async def _compare_and_set(
        self, client: httpx.AsyncClient, register: Register, id_: str, dice: random.Random
    ) -> None:
        tenant, document = register
        path = f"/v1/admin/tenants/{tenant}/{document}"
        began = time.monotonic()
        found = await client.get(path)
        expected = 0 if found.status_code == 404 else found.raise_for_status().json()["revision"]
        self.reads[register].append(Read(began, time.monotonic(), expected))
        headers = {"If-Revision": str(expected), "X-Change-Reason": id_}
        if expected and dice.random() < 0.5:
            headers["If-Match"] = found.headers["etag"]
        began = time.monotonic()
        answer = await client.put(path, json=dice.choice(VALUES[document]), headers=headers)
        self._note(register, Write(id_, expected, began, time.monotonic(), None), answer)

    def _note(self, register: Register, write: Write, answer: httpx.Response) -> None:
        said = answer.json()
        match answer.status_code:
            case 200 if said["changed"]:
                won = Write(write.id, write.expected, write.began, write.ended, said["revision"])
                self.writes[register].append(won)
            case 200:
                self.reads[register].append(Read(write.began, write.ended, said["revision"]))
            case 409 if said["code"] == "RECSYS_VERSION_MISMATCH" and said["current_revision"] != write.expected:
                self.writes[register].append(write)
            case _:
                self.odd.append(f"{write}: {answer.status_code} {answer.text}")


def create_tenants(url: str, names: Iterable[str]) -> None:
    """Tenants without documents."""
    with httpx.Client(base_url=url, headers=EVERYWHERE, timeout=60, trust_env=False) as client:
        for name in names:
            client.post("/v1/admin/tenants", json={"external_id": name}).raise_for_status()
