"""Cache invalidation over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Controller, post
from msgspec import Meta

from recsys.control.invalidate import invalidate
from recsys.domain.access import Permission
from recsys.domain.names import Surface
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, Call, Given

Target = Literal["config", "rules", "popularity"]


class Invalidation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every replica is to read again, though no revision says that it must."""

    targets: Annotated[list[Target], Meta(min_length=1, max_length=10)]
    surface: Surface | None = None


class InvalidationAnswer(msgspec.Struct, kw_only=True):
    """What this worker read again; the others do the same when they next look."""

    event_id: int
    status: Literal["done"]
    targets: list[Target]
    surface: str | None
    invalidated: dict[str, int]


class InvalidationController(Controller):
    """Reading again on demand."""

    path = "/v1/admin/tenants/{tenant_id:str}/cache/invalidate"
    dependencies = IN_TENANT
    tags = ("Data",)

    @post("/", permission=Permission.RESPOND, body=Invalidation, status_code=200, summary="Read everything again")
    async def invalidate(
        self, call: Given[Call], tenant: Given[Tenant], wish: Given[Invalidation]
    ) -> InvalidationAnswer:
        """Have every replica read documents or popularity again, here before the answer is given."""
        service = call.service
        targets = list(dict.fromkeys(wish.targets))
        event_id = await invalidate(service.store, call.actor, tenant.id, targets, wish.surface)
        invalidated = await service.replica.invalidate(tenant.id, targets, wish.surface)
        return InvalidationAnswer(
            event_id=event_id, status="done", targets=targets, surface=wish.surface, invalidated=invalidated
        )
