"""Cache invalidation over HTTP."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec
from litestar import Controller, post
from msgspec import Meta

from recsys.control.converge import CAP_S, Receipt
from recsys.control.invalidate import Target, confirm_invalidation, invalidate
from recsys.domain.access import Permission
from recsys.domain.errors import NotReady, TenantNotFound
from recsys.domain.names import Surface
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, Call, Given
from recsys.service.state import Service


class Invalidation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every replica is to read again, though no revision says that it must."""

    targets: Annotated[list[Target], Meta(min_length=1, max_length=10)]
    surface: Surface | None = None


class InvalidationAnswer(msgspec.Struct, kw_only=True):
    """``applied``: every live replica has read again; ``requested``: not all have confirmed it yet, see ``receipt``.

    ``invalidated``: how many documents the answering worker read again.
    """

    event_id: int
    status: Literal["requested", "applied"]
    targets: list[Target]
    surface: str | None
    invalidated: dict[str, int]
    receipt: Receipt


class InvalidationController(Controller):
    """Reading again on demand."""

    path = "/v1/admin/tenants/{tenant_id:str}/cache/invalidate"
    dependencies = IN_TENANT
    tags = ("Data",)

    @post("/", permission=Permission.RESPOND, body=Invalidation, status_code=200, summary="Read everything again")
    async def invalidate(
        self, call: Given[Call], tenant: Given[Tenant], wish: Given[Invalidation]
    ) -> InvalidationAnswer:
        """Have every replica read documents or popularity again, and wait until all have."""
        service = call.service
        targets = list(dict.fromkeys(wish.targets))
        requested = await invalidate(service.store, call.actor, tenant.id, targets, wish.surface)
        invalidated, (applied, receipt) = await asyncio.gather(
            _read_again(service, tenant, targets, wish.surface),
            confirm_invalidation(service.registry, tenant.id, requested),
        )
        return InvalidationAnswer(
            event_id=requested.event_id,
            status="applied" if applied else "requested",
            targets=targets,
            surface=wish.surface,
            invalidated=invalidated,
            receipt=receipt,
        )


async def _read_again(service: Service, tenant: Tenant, targets: list[Target], surface: str | None) -> dict[str, int]:
    """How many documents of each target this worker read again; none when the database is gone by now."""
    try:
        async with asyncio.timeout(CAP_S):
            # It may not know the tenant yet, and what a poll finds it reads itself.
            await service.replica.catch_up(tenant.id, loads=False)
            return await service.replica.invalidate(tenant.id, targets, surface)
    except (NotReady, TenantNotFound, TimeoutError):
        return dict.fromkeys(targets, 0)
