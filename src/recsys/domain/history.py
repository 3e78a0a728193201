"""The ledger: one entry per revision of a tenant, with the full set of pointers after it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from recsys.domain.document import DocumentRef

if TYPE_CHECKING:
    from recsys.domain.quarantine import QuarantinedVersion

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

    def lead_to(self, quarantined: QuarantinedVersion) -> bool:
        """Whether this version is the one of its document."""
        return self.of(DocumentRef(quarantined.document, quarantined.surface or "")) == quarantined.version

    def by_document(self) -> dict[DocumentRef, str]:
        """The version of every document that has one."""
        single = {DocumentRef(name): version for name in ("config", "rules") if (version := getattr(self, name))}
        return single | {DocumentRef("manifest", surface): version for surface, version in self.manifests.items()}

    def moved(self, ref: DocumentRef, etag: str | None) -> Pointers:
        """The pointers with one document at another version; None: it has none."""
        if not ref.kind.per_surface:
            return msgspec.structs.replace(self, **{ref.kind_name: etag})
        manifests = {name: version for name, version in self.manifests.items() if name != ref.surface}
        return msgspec.structs.replace(self, manifests=manifests | ({ref.surface: etag} if etag else {}))


class UsedKey(msgspec.Struct, frozen=True, kw_only=True):
    """An ``Idempotency-Key``, the SHA-256 of the request that used it, and the tenant's revision after that."""

    key: str
    fingerprint: str
    revision: int


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One revision: who moved what, when and why, and where every pointer stood afterwards.

    ``occurred_at`` never runs backwards within a tenant, even when the clocks of two writers disagree.
    ``quarantined`` names the documents whose version then is under quarantine now; it is filled in for people who read
    the history, and empty everywhere else.
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
    quarantined: list[str] = []
