"""API keys over HTTP: of a tenant, and of the platform."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath
from msgspec import Meta

from recsys.control.manage_keys import create_key, list_keys, revoke_key
from recsys.domain.access import Permission, Role
from recsys.domain.errors import NotFound
from recsys.domain.names import UUID_PATTERN
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, Call, Given

if TYPE_CHECKING:
    from recsys.domain.api_key import ApiKey

KeyName = Annotated[str, Meta(min_length=1, max_length=200)]


class NewKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make a key of a tenant."""

    name: KeyName
    role: Literal["serving", "viewer", "responder", "operator", "admin"]


class NewPlatformKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What it takes to make a platform key."""

    name: KeyName
    role: Literal["platform"] = "platform"


class KeyAnswer(msgspec.Struct, kw_only=True):
    """One key, without the key."""

    id: str
    name: str
    role: Role
    hint: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class CreatedKey(msgspec.Struct, kw_only=True):
    """A new key; ``key`` is shown this once."""

    id: str
    name: str
    role: Role
    hint: str
    created_at: datetime
    created_by: str
    key: str


class KeyList(msgspec.Struct, kw_only=True):
    """All keys, oldest first."""

    api_keys: list[KeyAnswer]


class TenantKeysController(Controller):
    """The keys of one tenant."""

    path = "/v1/admin/tenants/{tenant_id:str}/api-keys"
    dependencies = IN_TENANT
    tags = ("API keys",)

    @post("/", permission=Permission.MANAGE_KEYS, body=NewKey, summary="Create a key")
    async def create(self, call: Given[Call], tenant: Given[Tenant], wish: Given[NewKey]) -> CreatedKey:
        """Create a key of the tenant. The answer is the only place where it is ever shown."""
        return await _create(call, tenant.id, wish)

    @get("/", permission=Permission.MANAGE_KEYS, summary="List keys")
    async def list_all(self, call: Given[Call], tenant: Given[Tenant]) -> KeyList:
        """The keys of the tenant, revoked ones too."""
        return await _list(call, tenant.id)

    @delete("/{key_id:str}", permission=Permission.MANAGE_KEYS, summary="Revoke a key")
    async def revoke(self, call: Given[Call], tenant: Given[Tenant], key_id: FromPath[str]) -> None:
        """Revoke a key of the tenant. Requests with it fail at this worker now, at others when they have read of it."""
        await _revoke(call, tenant.id, key_id)


class PlatformKeysController(Controller):
    """Keys that belong to no tenant."""

    path = "/v1/admin/api-keys"
    tags = ("API keys",)

    @post("/", body=NewPlatformKey, summary="Create a platform key")
    async def create(self, call: Given[Call], wish: Given[NewPlatformKey]) -> CreatedKey:
        """Create a platform key. The answer is the only place where it is ever shown."""
        call.principal.require(Permission.MANAGE_TENANTS)
        return await _create(call, None, wish)

    @get("/", summary="List platform keys")
    async def list_all(self, call: Given[Call]) -> KeyList:
        """The platform keys, revoked ones too."""
        call.principal.require(Permission.MANAGE_TENANTS)
        return await _list(call, None)

    @delete("/{key_id:str}", summary="Revoke a platform key")
    async def revoke(self, call: Given[Call], key_id: FromPath[str]) -> None:
        """Revoke a platform key. Requests with it fail at this worker now, at others when they have read of it."""
        call.principal.require(Permission.MANAGE_TENANTS)
        await _revoke(call, None, key_id)


async def _create(call: Call, tenant_id: str | None, wish: NewKey | NewPlatformKey) -> CreatedKey:
    service = call.service
    made, key = await create_key(service.store, service.clock, call.actor, tenant_id, wish.name, Role(wish.role))
    await service.replica.catch_up(loads=False)
    return CreatedKey(
        id=made.id,
        name=made.name,
        role=made.role,
        hint=made.hint,
        created_at=made.created_at,
        created_by=made.created_by_sub,
        key=key,
    )


async def _list(call: Call, tenant_id: str | None) -> KeyList:
    return KeyList(api_keys=[_answer(key) for key in await list_keys(call.service.store, tenant_id)])


async def _revoke(call: Call, tenant_id: str | None, key_id: str) -> None:
    if not re.match(UUID_PATTERN, key_id):
        raise NotFound
    await revoke_key(call.service.store, call.service.clock, call.actor, tenant_id, key_id)
    await call.service.replica.catch_up(loads=False)


def _answer(key: ApiKey) -> KeyAnswer:
    return KeyAnswer(
        id=key.id,
        name=key.name,
        role=key.role,
        hint=key.hint,
        created_at=key.created_at,
        created_by=key.created_by_sub,
        revoked_at=key.revoked_at,
    )
