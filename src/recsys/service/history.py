"""The ledger over HTTP: every revision, its labels, and going back to one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, get, post, put
from litestar.params import PathParameter

from recsys.control.outcome import TenantOutcome
from recsys.control.read_history import label_revision, read_history
from recsys.control.roll_back import RollbackRequest, roll_back_tenant
from recsys.domain.access import Permission
from recsys.domain.history import KNOWN_GOOD, Pointers
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import Tenant
from recsys.service.call import Call, Given, Limit, Number, page
from recsys.service.document import CONDITIONS


class EntryAnswer(msgspec.Struct, kw_only=True):
    """One revision: who moved what, when and why, and where every pointer stood afterwards."""

    revision: int
    occurred_at: datetime
    actor_sub: str
    actor_type: str
    action: str
    reason: str | None
    request_id: str | None
    pointers: Pointers
    labels: list[str]


class HistoryPage(msgspec.Struct, kw_only=True):
    """Revisions, newest first; ``next_before`` asks for the next page."""

    entries: list[EntryAnswer]
    next_before: int | None


class HistoryController(Controller):
    """A tenant's revisions."""

    path = "/v1/admin/tenants/{tenant_id:str}"
    tags = ("History",)
    dependencies = CONDITIONS

    @get("/history", permission=Permission.READ, summary="Read the ledger")
    async def history(
        self, call: Given[Call], tenant: Given[Tenant], limit: Limit = 100, before: Number = None
    ) -> HistoryPage:
        """Every revision of the tenant, newest first, with the full set of pointers after it."""
        found = await read_history(call.service.store, tenant.id, page(limit), before)
        return HistoryPage(
            entries=[msgspec.convert(entry, EntryAnswer, from_attributes=True) for entry in found],
            next_before=found[-1].revision if len(found) == page(limit) else None,
        )

    @put("/history/{revision:int}/labels/known_good", permission=Permission.RESPOND, summary="Mark as known good")
    async def label(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        revision: Annotated[int, PathParameter(ge=0, le=2**53 - 1)],
    ) -> EntryAnswer:
        """Label a revision, so that `{"to": "known_good"}` leads back to it."""
        entry = await label_revision(call.service.store, call.actor, tenant.id, revision, KNOWN_GOOD)
        return msgspec.convert(entry, EntryAnswer, from_attributes=True)

    @post("/rollback", permission=Permission.RESPOND, body=RollbackRequest, status_code=200, summary="Go back together")
    async def roll_back(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        wish: Given[RollbackRequest],
        preconditions: Given[Preconditions],
        idempotency_key: Given[str | None],
    ) -> TenantOutcome:
        """Move all documents back together, to a revision, a time or the latest known good."""
        actor = msgspec.structs.replace(call.actor, reason=wish.reason or call.actor.reason)
        outcome = await roll_back_tenant(call.service.store, actor, tenant.id, wish, preconditions, idempotency_key)
        await call.service.replica.catch_up(loads=False)
        return outcome
