"""The ledger: one entry per revision of a tenant, with the full set of pointers after it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from recsys.domain.document import DocumentRef

KNOWN_GOOD = "known_good"


class Pointers(msgspec.Struct, frozen=True, kw_only=True):
    """Which version (by its etag) is current for each document; absent: none, serving uses the defaults."""

    config: str | None = None
    rules: str | None = None
    manifests: dict[str, str] = {}

    def of(self, ref: DocumentRef) -> str | None:
        """The version of one document, if it has one."""
        if ref.kind.per_surface:
            return self.manifests.get(ref.surface)
        return self.config if ref.kind.name == "config" else self.rules


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One revision: who moved what, when and why, and where every pointer stood afterwards.

    ``occurred_at`` never runs backwards within a tenant, even when the clocks of two writers disagree.
    """

    revision: int
    occurred_at: datetime
    actor_sub: str
    actor_type: str
    action: str
    reason: str | None = None
    request_id: str | None = None
    pointers: Pointers
    labels: list[str] = []
