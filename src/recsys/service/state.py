"""What a running service is made of. Wired in ``bootstrap``; there are no globals."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recsys.service.request_id import RequestIds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from recsys.domain.ports import BlobStore, Clock, ControlStore, EventLog, ReplicaRegistry
    from recsys.domain.subject import SubjectKeys
    from recsys.service.authentication import Authenticator
    from recsys.service.metrics import Metrics
    from recsys.serving.replica import Replica

MIB = 1024 * 1024
LOADS_AT_A_TIME = 2


@dataclass(frozen=True)
class Limits:
    """Bounds on what one request may send. ``spool_bytes``: how much of a load stays in memory."""

    body_bytes: int = MIB
    load_bytes: int = 1024 * MIB
    spool_bytes: int = 4 * MIB


@dataclass(frozen=True)
class Service:
    """The parts that handlers work with. ``close`` gives back what was opened for them.

    ``subjects`` names users as ``log`` does. ``loading``: loads take turns, since each keeps a thread busy for long.
    """

    store: ControlStore
    replica: Replica
    registry: ReplicaRegistry
    clock: Clock
    metrics: Metrics
    authenticator: Authenticator
    limits: Limits
    log: EventLog
    blobs: BlobStore
    subjects: SubjectKeys
    close: Callable[[], Awaitable[None]]
    request_ids: RequestIds = field(default_factory=RequestIds)
    loading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOADS_AT_A_TIME))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the replica synced and the log written for as long as the block lasts."""
        try:
            self.log.start()
            await self.replica.start()
            yield
        finally:
            await self.replica.stop()
            await self.log.stop()
            self.metrics.close()
            await self.close()
