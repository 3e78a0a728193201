"""Asking replicas to drop what they hold of a tenant and read it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from recsys.control.converge import Receipt, converge
from recsys.domain.audit import AuditRecord
from recsys.domain.errors import NotReady, Overloaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.domain.access import Actor
    from recsys.domain.ports import ControlStore, ReplicaRegistry

Target = Literal["config", "rules", "popularity"]


class RequestedInvalidation(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded; replicas that have followed it tell of ``number`` or a higher one."""

    event_id: int
    number: int


async def invalidate(
    store: ControlStore, actor: Actor, tenant_id: str, targets: Sequence[Target], surface: str | None
) -> RequestedInvalidation:
    """Record the wish, which every replica sees at its next poll."""
    record = AuditRecord(
        action="cache.invalidate",
        entity_type="cache",
        entity_id=surface or "all",
        extra={"targets": list(targets), "surface": surface},
    )
    async with store.changing(tenant_id, actor) as transaction:
        event_id = await transaction.invalidate(targets, surface, record)
        return RequestedInvalidation(event_id=event_id, number=transaction.locked.invalidations)


async def confirm_invalidation(
    registry: ReplicaRegistry, tenant_id: str, requested: RequestedInvalidation
) -> tuple[bool, Receipt]:
    """Wait until every live replica has read again and record that; whether it is recorded, and the receipt."""
    receipt = await converge(registry, tenant_id, invalidations=requested.number)
    if not receipt.converged:
        return False, receipt
    try:
        await registry.close_invalidation(requested.event_id)
    except (NotReady, Overloaded):
        return False, receipt  # a replica records it with one of its next heartbeats
    return True, receipt
