"""The audit log over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, get

from recsys.control.read_audit import read_audit
from recsys.domain.access import Permission
from recsys.domain.audit import STATES_AT_ONCE, AuditCursor, AuditEntry
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, Call, Given, Limit, Number, Time, page, read_time


class AuditLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One admin action; the states are absent for those who may not see them."""

    id: int
    occurred_at: datetime
    tenant_id: str | None
    actor_sub: str
    actor_type: str
    action: str
    entity_type: str
    entity_id: str
    revision: int | None
    request_id: str | None
    ip: str | None
    user_agent: str | None
    extra: Any
    before_state: Any = msgspec.UNSET
    after_state: Any = msgspec.UNSET


class AuditPage(msgspec.Struct, kw_only=True):
    """Entries, newest first; ``next_before`` and ``next_before_id`` together ask for the next page."""

    entries: list[AuditLine]
    next_before: datetime | None
    next_before_id: int | None


class AuditController(Controller):
    """The audit log of a tenant."""

    path = "/v1/admin/tenants/{tenant_id:str}/audit"
    dependencies = IN_TENANT
    tags = ("Audit",)

    @get("/", permission=Permission.READ, summary="Read the audit log")
    async def read(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        limit: Limit = 100,
        before: Time = None,
        before_id: Number = None,
    ) -> AuditPage:
        """Who did what, newest first. States before and after are shown from responder up; large ones end a page."""
        shown = _may_see_states(call, tenant)
        found = await read_audit(call.service.store, tenant.id, page(limit), _cursor(before, before_id), states=shown)
        last = (
            found[-1]
            if len(found) == page(limit) or sum(each.states_bytes for each in found) >= STATES_AT_ONCE
            else None
        )
        return AuditPage(
            entries=[_line(entry, states=shown) for entry in found],
            next_before=last.occurred_at if last else None,
            next_before_id=last.id if last else None,
        )


def _may_see_states(call: Call, tenant: Tenant) -> bool:
    own = call.principal.tenant_id in (None, tenant.id)
    return own and call.principal.may(Permission.INSPECT)


def _cursor(before: str | None, before_id: int | None) -> AuditCursor | None:
    time = read_time("before", before)
    if time is None and before_id is None:
        return None
    if time is None:
        raise InvalidRequest(faults=[Fault("", "query parameter before_id: goes together with before.")])
    # Without an id, everything of that very moment is left out.
    return AuditCursor(time, before_id or 0)


def _line(entry: AuditEntry, *, states: bool) -> AuditLine:
    fields = {name: getattr(entry, name) for name in AuditLine.__struct_fields__ if not name.endswith("_state")}
    if states:
        fields |= {"before_state": entry.before_state, "after_state": entry.after_state}
    return AuditLine(**fields)
