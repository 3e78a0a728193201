"""Asking replicas to drop what they hold of a tenant and read it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from recsys.domain.audit import AuditRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.domain.access import Actor
    from recsys.domain.ports import ControlStore

Target = Literal["config", "rules", "popularity"]


async def invalidate(
    store: ControlStore, actor: Actor, tenant_id: str, targets: Sequence[Target], surface: str | None
) -> int:
    """Record the wish, which every replica sees at its next poll, and give the event's id."""
    record = AuditRecord(
        action="cache.invalidate",
        entity_type="cache",
        entity_id=surface or "all",
        extra={"targets": list(targets), "surface": surface},
    )
    async with store.changing(tenant_id, actor) as transaction:
        return await transaction.invalidate(targets, surface, record)
