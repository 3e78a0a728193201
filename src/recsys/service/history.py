"""The ledger over HTTP: every revision, its labels, and going back to one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.params import PathParameter

from recsys.control.converge import Receipt
from recsys.control.outcome import MovedDocument
from recsys.control.read_history import label_revision, read_history
from recsys.control.roll_back import RollbackRequest, roll_back_tenant
from recsys.domain.access import Permission
from recsys.domain.document import Lint
from recsys.domain.history import KNOWN_GOOD, LedgerEntry
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import Tenant
from recsys.service.call import Call, Given, Limit, Number, page
from recsys.service.conditions import CONDITIONS
from recsys.service.convergence import WAIT_UNLESS_TOLD, serve_change


class HistoryPage(msgspec.Struct, kw_only=True):
    """Revisions, newest first; ``next_before`` asks for the next page."""

    entries: list[LedgerEntry]
    next_before: int | None


class TenantRollback(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where a tenant stands after a rollback, what that moved, and who serves it."""

    tenant_id: str
    revision: int
    changed: bool
    moved: list[MovedDocument]
    warnings: list[Lint]
    receipt: Receipt | msgspec.UnsetType = msgspec.UNSET


class HistoryController(Controller):
    """A tenant's revisions."""

    path = "/v1/admin/tenants/{tenant_id:str}"
    tags = ("History",)
    dependencies = {**CONDITIONS, **WAIT_UNLESS_TOLD}  # noqa: RUF012

    @get("/history", permission=Permission.READ, summary="Read the ledger")
    async def history(
        self, call: Given[Call], tenant: Given[Tenant], limit: Limit = 100, before: Number = None
    ) -> HistoryPage:
        """Every revision of the tenant, newest first, with the full set of pointers after it."""
        found = await read_history(call.service.store, tenant.id, page(limit), before)
        return HistoryPage(
            entries=found,
            next_before=found[-1].revision if len(found) == page(limit) else None,
        )

    @put("/history/{revision:int}/labels/known_good", permission=Permission.RESPOND, summary="Mark as known good")
    async def label(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        revision: Annotated[int, PathParameter(ge=0, le=2**53 - 1)],
    ) -> LedgerEntry:
        """Label a revision, so that `{"to": "known_good"}` leads back to it."""
        return await label_revision(call.service.store, call.actor, tenant.id, revision, KNOWN_GOOD)

    @delete(
        "/history/{revision:int}/labels/known_good",
        permission=Permission.RESPOND,
        status_code=200,
        summary="Mark as known good no longer",
    )
    async def unlabel(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        revision: Annotated[int, PathParameter(ge=0, le=2**53 - 1)],
    ) -> LedgerEntry:
        """Take the label off again."""
        return await label_revision(call.service.store, call.actor, tenant.id, revision, KNOWN_GOOD, present=False)

    @post("/rollback", permission=Permission.RESPOND, body=RollbackRequest, status_code=200, summary="Go back together")
    async def roll_back(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        wish: Given[RollbackRequest],
        preconditions: Given[Preconditions],
        idempotency_key: Given[str | None],
        override: Given[str | None],
        waits: Given[bool],
    ) -> TenantRollback:
        """Move all documents back together, to a revision, a time or the latest known good; wait for all replicas."""
        outcome = await roll_back_tenant(
            call.service.store, call.actor, tenant.id, wish, preconditions, idempotency_key, override
        )
        receipt = await serve_change(call.service, tenant.id, outcome.revision, waits=waits)
        return TenantRollback(
            tenant_id=outcome.tenant_id,
            revision=outcome.revision,
            changed=outcome.changed,
            moved=outcome.moved,
            warnings=outcome.warnings,
            receipt=receipt,
        )
