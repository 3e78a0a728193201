"""Tenants over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import QueryParameter
from msgspec import Meta

from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.domain.access import Permission
from recsys.domain.tenant import Tenant, TenantSettings, TenantStatus
from recsys.service.call import IN_TENANT, Call, Given, Limit, page


class NewTenant(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What it takes to create a tenant; ``name`` defaults to the external id."""

    external_id: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Annotated[str, Meta(max_length=200)] | None = None


class TenantAnswer(msgspec.Struct, kw_only=True):
    """One tenant."""

    id: str
    external_id: str
    name: str
    status: TenantStatus
    frozen: bool
    require_if_match: bool
    revision: int
    data_revision: int
    created_at: datetime


class TenantPage(msgspec.Struct, kw_only=True):
    """Tenants in order of external id; ``next_after`` asks for the next page."""

    tenants: list[TenantAnswer]
    next_after: str | None


class TenantsController(Controller):
    """Tenants."""

    path = "/v1/admin/tenants"
    tags = ("Tenants",)

    @post("/", body=NewTenant, summary="Create a tenant")
    async def create(self, call: Given[Call], wish: Given[NewTenant]) -> TenantAnswer:
        """Create a tenant; platform keys only."""
        call.principal.require(Permission.MANAGE_TENANTS)
        service = call.service
        name = wish.name or wish.external_id
        tenant = await create_tenant(service.store, service.clock, call.actor, wish.external_id, name)
        await service.replica.catch_up(loads=False)
        return answer_tenant(tenant)

    @get("/", summary="List tenants")
    async def list_all(
        self,
        call: Given[Call],
        limit: Limit = 100,
        after: Annotated[str | None, QueryParameter(max_length=128, pattern=r"^[A-Za-z0-9_.-]*$")] = None,
    ) -> TenantPage:
        """The tenants that you have access to."""
        call.principal.require(Permission.READ)
        async with call.service.store.reading() as reader:
            if call.principal.reaches(""):  # of no tenant in particular: of all
                found = await reader.tenants(page(limit), after)
            else:
                own = await reader.tenant(call.principal.tenant_id or "")
                found = [own] if after is None or own.external_id > after else []
        full = len(found) == page(limit)
        return TenantPage(
            tenants=[answer_tenant(tenant) for tenant in found], next_after=found[-1].external_id if full else None
        )

    @get("/{tenant_id:str}", dependencies=IN_TENANT, permission=Permission.READ, summary="Read a tenant")
    async def read(self, tenant: Given[Tenant]) -> TenantAnswer:
        """One tenant."""
        return answer_tenant(tenant)

    @patch(
        "/{tenant_id:str}",
        dependencies=IN_TENANT,
        permission=Permission.READ,
        body=TenantSettings,
        summary="Freeze, rename or suspend a tenant",
    )
    async def update(self, call: Given[Call], tenant: Given[Tenant], wish: Given[TenantSettings]) -> TenantAnswer:
        """Change settings: the status as platform, the others as operator."""
        if wish.status is not None:
            call.principal.require(Permission.MANAGE_TENANTS, tenant.id)
        if wish.status is None or wish != TenantSettings(status=wish.status):
            call.principal.require(Permission.CHANGE, tenant.id)
        changed = await update_tenant(call.service.store, call.actor, tenant.id, wish)
        await call.service.replica.catch_up(loads=False)
        return answer_tenant(changed)


def answer_tenant(tenant: Tenant) -> TenantAnswer:
    """A tenant as it is answered."""
    return TenantAnswer(**{name: getattr(tenant, name) for name in TenantAnswer.__struct_fields__})
