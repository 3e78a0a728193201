"""What a replica says about itself: to people as health, to metrics as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from datetime import datetime


class TenantHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What is served for a tenant; revisions are null before its first snapshot.

    ``incompatible``: which of its current documents cannot be read; what it last had of them is served.
    """

    external_id: str
    revision: int | None
    data_revision: int | None
    incompatible: str | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``ready``: everything was loaded once. ``poll_age_seconds``: since the last successful poll, null before it.

    ``copy_age_seconds``: while all this comes from the host's local copy, how old that is; else null.

    ``id``: as `GET /v1/admin/replicas` names it; null for one that is no replica of the service. ``listening``: whether
    changes are heard of; null where there is nothing to hear, and the database is asked all the time.
    """

    id: str | None
    listening: bool | None
    ready: bool
    stale: bool
    poll_age_seconds: float | None
    copy_age_seconds: float | None
    tenants: dict[str, TenantHealth]


class ReplicaObserver(Protocol):
    """Who is told what a replica does, for metrics and alarms. Must not block."""

    def polled(self) -> None:
        """The control plane was read."""

    def copied(self, read_at: datetime) -> None:
        """A local copy is served, which was read from the control plane at that time."""

    def copy_refused(self) -> None:
        """The local copy is damaged, or not of this database, and is not served."""

    def copy_failed(self) -> None:
        """The local copy could not be written."""

    def serving(self, tenant_id: str, revision: int, data_revision: int) -> None:
        """A new snapshot is served."""

    def incompatible(self, tenant_id: str, documents: int) -> None:
        """How many of the tenant's current documents this code cannot read; 0: all is well again."""

    def artifact_refused(self, tenant_id: str) -> None:
        """A manifest is refused for one of its artifacts; what was good before is served on."""

    def manifest_moved(self, tenant_id: str, surface: str, at: datetime | None) -> None:
        """Since when a surface's manifest is current; None: it has none."""

    def restored(self, tenant_id: str) -> None:
        """The database was restored to another state than was known, which is served now."""
