"""API keys of tenants, and of the platform (``tenant_id`` None)."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING

import msgspec

from recsys.domain.access import Role
from recsys.domain.api_key import KEY_PREFIX, ApiKey, hash_key
from recsys.domain.audit import AuditRecord
from recsys.domain.errors import Fault, Unprocessable

if TYPE_CHECKING:
    from recsys.domain.access import Actor
    from recsys.domain.ports import Clock, ControlStore

HINT_LENGTH = len(KEY_PREFIX) + 6


async def create_key(
    store: ControlStore, clock: Clock, actor: Actor, tenant_id: str | None, name: str, role: Role
) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, which nobody can read again.

    Raises:
        Unprocessable: a tenant's key with the platform role, or a platform key with another.
    """
    if (role is Role.PLATFORM) != (tenant_id is None):
        detail = "Keys of a tenant have any role but platform; keys of the platform have just that."
        raise Unprocessable(faults=[Fault("/role", detail)])
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        id=str(uuid.uuid4()),
        tenant_id=tenant_id,
        name=name,
        role=role,
        hint=secret[:HINT_LENGTH],
        key_hash=hash_key(secret),
        created_at=clock.now(),
        created_by_sub=actor.sub,
    )
    state = msgspec.json.encode({"name": name, "role": role, "hint": key.hint}).decode()
    record = AuditRecord(action="api_key.create", entity_type="api_key", entity_id=key.id, after_state=state)
    if tenant_id is None:
        await store.add_platform_key(key, actor, record)
    else:
        async with store.changing(tenant_id, actor) as transaction:
            await transaction.add_api_key(key, record)
    return key, secret


async def list_keys(store: ControlStore, tenant_id: str | None) -> list[ApiKey]:
    """Keys, oldest first, revoked ones too."""
    async with store.reading() as reader:
        return await reader.api_keys(tenant_id)


async def revoke_key(store: ControlStore, clock: Clock, actor: Actor, tenant_id: str | None, key_id: str) -> None:
    """Take a key out of use; a second time changes nothing. Raises NotFound when there is no such key."""
    key_id = key_id.lower()  # an id is a UUID, and SQLite compares its text
    record = AuditRecord(action="api_key.revoke", entity_type="api_key", entity_id=key_id)
    if tenant_id is None:
        await store.revoke_platform_key(key_id, clock.now(), actor, record)
        return
    async with store.changing(tenant_id, actor) as transaction:
        await transaction.revoke_api_key(key_id, clock.now(), record)
