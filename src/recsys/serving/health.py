"""What a replica says about itself: to people as health, to metrics as events."""

from __future__ import annotations

from typing import Protocol

import msgspec


class TenantHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What is served for a tenant; revisions are null before its first snapshot.

    ``incompatible``: which of its current documents cannot be read; the last good ones are served in their place.
    """

    external_id: str
    revision: int | None
    data_revision: int | None
    incompatible: str | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``ready``: everything was loaded once. ``poll_age_seconds``: since the last successful poll, null before it."""

    ready: bool
    stale: bool
    poll_age_seconds: float | None
    tenants: dict[str, TenantHealth]


class ReplicaObserver(Protocol):
    """Who is told what a replica does, for metrics and alarms. Must not block."""

    def polled(self) -> None:
        """The control plane was read."""

    def serving(self, tenant_id: str, revision: int, data_revision: int) -> None:
        """A new snapshot is served."""

    def incompatible(self, tenant_id: str, documents: int) -> None:
        """How many of the tenant's current documents this code cannot read; 0: all is well again."""

    def restored(self, tenant_id: str) -> None:
        """The revision fell: the database was restored to an earlier state, which is served now."""
