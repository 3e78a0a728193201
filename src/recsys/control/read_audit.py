"""Reading the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.domain.audit import AuditCursor, AuditEntry
    from recsys.domain.ports import ControlStore


async def read_audit(
    store: ControlStore, tenant_id: str | None, limit: int, cursor: AuditCursor | None, *, states: bool = True
) -> list[AuditEntry]:
    """Audit entries, newest first; ``tenant_id`` None: the platform's own. ``states`` as in ``Reader.audit``."""
    async with store.reading() as reader:
        return await reader.audit(tenant_id, limit, cursor, states=states)
