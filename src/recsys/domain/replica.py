"""What replicas tell of themselves, and what counts as evidence that one of them serves a change.

A replica writes one row: the database time through which it has followed every commit, and the tenants that this
sentence does not do justice to: those that moved a moment ago (it may have seen more of them) and those that it is
behind with (it has seen less). See docs/adr/0009-convergence.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

LEASE_S: Final = 45.0
"""A replica that was silent for longer is gone: nobody waits for it, and its row is deleted."""
SILENT_S: Final = 3.0
"""A replica that missed so many seconds of heartbeats is called silent; it is still waited for."""
NEWS_S: Final = 6.0
"""For so long after it moved a replica names a tenant: longer than anybody waits to hear it."""

Verdict = Literal["converged", "behind", "silent", "incompatible"]


class ReplicaIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """One serving process; ``id`` is a UUID that is drawn anew at every start."""

    id: str
    host: str
    pid: int
    code_version: str


class SyncedTenant(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replica has come with one tenant.

    ``revision``: the highest whose documents it has read and serves, as far as it can: ``incompatible`` names those
    that it cannot read and keeps an earlier state of. None: it serves nothing of the database as that is now.
    ``invalidations``: the last request to read again that it has followed.
    """

    revision: int | None
    data_revision: int | None
    invalidations: int
    incompatible: str | None = None


class ReplicaReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica says: every commit before ``synced_through`` is served, but for the tenants it names."""

    synced_through: datetime | None
    tenants: dict[str, SyncedTenant]


class ReplicaRow(ReplicaIdentity, frozen=True, kw_only=True):
    """What stands in the database about a replica. All times are the database's."""

    started_at: datetime
    heartbeat_at: datetime
    synced_through: datetime | None
    tenants: dict[str, SyncedTenant]


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """All live replicas, as of the database time ``read_at``: those whose lease has not run out."""

    read_at: datetime
    replicas: list[ReplicaRow]

    def age_ms(self, replica: ReplicaRow) -> float:
        """How long ago the replica last wrote its row."""
        return max(0.0, (self.read_at - replica.heartbeat_at) / timedelta(milliseconds=1))

    def is_silent(self, replica: ReplicaRow) -> bool:
        """Whether the replica has missed its heartbeats."""
        return self.age_ms(replica) > SILENT_S * 1_000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What replicas are waited for: that they serve a tenant's ``revision``, or have followed an invalidation.

    ``committed_by``: a database time at which the change had been committed, however long before.
    """

    tenant_id: str
    committed_by: datetime
    revision: int = 0
    invalidations: int = 0


def judge_replica(replica: ReplicaRow, roster: Roster, change: Change) -> Verdict:
    """Whether the replica's row proves that it serves the change, and if not, why.

    A tenant that is named speaks for itself: a poll that began a hair before the commit may have seen it. For one that
    is not, a poll that began after the commit has seen it, and whatever it found newer is served.
    """
    said = replica.tenants.get(change.tenant_id)
    if said is None:
        # Not at the same microsecond: the clock has no finer one, so the poll may have been the earlier of the two.
        if replica.synced_through is not None and replica.synced_through > change.committed_by:
            return "converged"
    elif said.revision is not None and said.revision >= change.revision and said.invalidations >= change.invalidations:
        return "incompatible" if said.incompatible else "converged"
    return "silent" if roster.is_silent(replica) else "behind"
