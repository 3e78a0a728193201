"""What operators and their machines ask: is it alive, is it ready, what does it serve, what does it count."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import MediaType, Response, get

from recsys.domain.errors import RecsysError, TenantNotFound
from recsys.service.call import Given
from recsys.service.exposition import CONTENT_TYPE
from recsys.service.state import Service

TAGS = ("Operations",)
PROBE_TIMEOUT_S = 2.0
NOBODY = "00000000-0000-0000-0000-000000000000"
NO_KEY: list[dict[str, list[str]]] = [{}]


@get("/healthz", tags=TAGS, security=NO_KEY, summary="Is the process alive?", media_type=MediaType.JSON)
async def healthz() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "ok"}


@get("/readyz", tags=TAGS, security=NO_KEY, summary="May it get traffic?")
async def readyz(service: Given[Service]) -> Response[dict[str, str]]:
    """200 once everything was loaded; from then on also without the database."""
    if service.replica.synced:
        return Response({"status": "ready"})
    return Response({"status": "starting"}, status_code=503, headers={"Retry-After": "1"})


@get("/health/detailed", tags=TAGS, security=NO_KEY, summary="What does this worker serve?")
async def health_detailed(service: Given[Service]) -> dict[str, Any]:
    """Whether the database can be reached, how old the replica's view is, and what it serves per tenant."""
    reachable = await _database_reachable(service)
    health = service.replica.health()
    status = "ok" if reachable and not service.replica.stale else "degraded"
    return {"status": status, "database": {"reachable": reachable}, "replica": health}


@get("/metrics", tags=TAGS, security=NO_KEY, summary="Metrics", media_type=MediaType.TEXT, sync_to_thread=True)
def metrics(service: Given[Service]) -> Response[bytes]:
    """Counts and gauges of all workers, in the Prometheus text format."""
    return Response(service.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})


HANDLERS = (healthz, readyz, health_detailed, metrics)


async def _database_reachable(service: Service) -> bool:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await service.store.tenant(NOBODY)
    except TenantNotFound:
        return True
    except (RecsysError, TimeoutError):
        return False
    return True
