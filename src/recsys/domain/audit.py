"""The audit log: one append-only entry per admin action."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

STATES_AT_ONCE = 4_194_304
"""A page of the audit log ends with the entry whose states bring it to so many characters."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to which entity, and what it was before and after.

    The states are JSON texts; for a document they are the document itself, so that ``before_state`` can be PUT back.
    None: there is no such state, or it was not asked for.
    """

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
    extra: msgspec.Raw
    before_state: msgspec.Raw | None = None
    after_state: msgspec.Raw | None = None

    @property
    def states_bytes(self) -> int:
        """How long both states are, as far as they are here."""
        return sum(memoryview(state).nbytes for state in (self.before_state, self.after_state) if state is not None)


class AuditCursor(msgspec.Struct, frozen=True):
    """Where a page of the audit log ends: entries older than this come next."""

    before: datetime
    before_id: int


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An audit entry to be written; the store adds the id, time, actor and revision."""

    action: str
    entity_type: str
    entity_id: str
    before_state: str | None = None
    after_state: str | None = None
    extra: dict[str, object] = {}
