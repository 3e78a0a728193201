"""Creating tenants and changing their settings: name, status, freeze, required preconditions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from recsys.domain.audit import AuditRecord
from recsys.domain.tenant import Tenant, TenantSettings, check_external_id

if TYPE_CHECKING:
    from recsys.domain.access import Actor
    from recsys.domain.ports import Clock, ControlStore


async def create_tenant(
    store: ControlStore, clock: Clock, actor: Actor, external_id: str, name: str | None = None
) -> Tenant:
    """Create a tenant without documents: serving it uses the defaults.

    Raises:
        InvalidRequest: an external id that could not stand in a path.
        Unprocessable: one that is taken.
    """
    check_external_id(external_id)
    tenant = Tenant(id=str(uuid.uuid4()), external_id=external_id, name=name or external_id, created_at=clock.now())
    record = AuditRecord(
        action="tenant.create",
        entity_type="tenant",
        entity_id=tenant.id,
        after_state=_state({"external_id": tenant.external_id, "name": tenant.name}),
    )
    await store.create_tenant(tenant, actor, record)
    return tenant


async def update_tenant(store: ControlStore, actor: Actor, tenant_id: str, settings: TenantSettings) -> Tenant:
    """Change what ``settings`` names; the rest stays. Naming what is already so changes nothing."""
    async with store.changing(tenant_id, actor) as transaction:
        before = transaction.locked
        wanted = {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}
        changed = [name for name, value in wanted.items() if getattr(before, name) != value]
        if not changed:
            return before
        record = AuditRecord(
            action=_action(settings, changed),
            entity_type="tenant",
            entity_id=before.id,
            before_state=_state({name: getattr(before, name) for name in changed}),
            after_state=_state({name: wanted[name] for name in changed}),
        )
        return await transaction.update(settings, record)


def _action(settings: TenantSettings, changed: list[str]) -> str:
    if "frozen" in changed:
        return "tenant.freeze" if settings.frozen else "tenant.unfreeze"
    return "tenant.update"


def _state(values: dict[str, object]) -> str:
    return msgspec.json.encode(values, order="sorted").decode()
