"""What a tenant's status says beside what is served: what is current, since when and why, and who has followed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.errors import NotReady, Overloaded
from recsys.domain.history import KNOWN_GOOD, Pointers
from recsys.domain.replica import NEWS_S, Change, Verdict, judge_replica

if TYPE_CHECKING:
    from recsys.domain.history import LedgerEntry
    from recsys.domain.ports import ControlStore, ReplicaRegistry
    from recsys.domain.replica import ReplicaRow, Roster
    from recsys.domain.tenant import Tenant

_CLOCKS_DIFFER: Final = timedelta(seconds=NEWS_S / 2)
"""How far the clock that dated a change may be from the database's. Replicas that name a tenant no longer have looked
since: they name it for longer than this and a look together."""
_PATIENCE_S: Final = 1.0


class LastChange(msgspec.Struct, frozen=True, kw_only=True):
    """Who moved a pointer last, when and why."""

    revision: int
    at: datetime
    by: str
    by_type: str
    action: str
    reason: str | None


class CurrentState(msgspec.Struct, frozen=True, kw_only=True):
    """What is current. ``manifests_moved_at``: since when each surface's manifest is; ``known_good``: a revision."""

    pointers: Pointers
    manifests_moved_at: dict[str, datetime]
    known_good: int | None
    quarantined: int
    last_change: LastChange | None


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every replica serves the tenant's revision; null: that is not known.

    ``live``: how many are not silent; ``others``: who does not serve it, or is silent and may serve anything.
    """

    converged: bool | None
    live: int
    others: dict[str, Verdict]


async def read_current_state(store: ControlStore, tenant_id: str) -> CurrentState:
    """What is current for a tenant, all as of one moment."""
    async with store.reading() as reader:
        latest = next(iter(await reader.ledger(tenant_id, 1, None)), None)
        pointers = latest.pointers if latest is not None else Pointers()
        moved_at: dict[str, datetime] = {}
        for surface in sorted(pointers.manifests):
            pointer = await reader.pointer(tenant_id, DocumentRef(MANIFEST.name, surface))
            moved_at |= {surface: pointer.updated_at} if pointer is not None else {}
        known_good = await reader.ledger_labelled(tenant_id, KNOWN_GOOD)
        return CurrentState(
            pointers=pointers,
            manifests_moved_at=moved_at,
            known_good=known_good.revision if known_good is not None else None,
            quarantined=len(await reader.quarantined(tenant_id)),
            last_change=_last_change(latest) if latest is not None else None,
        )


async def read_following(registry: ReplicaRegistry, tenant: Tenant, last_change: LastChange | None) -> Following:
    """How far the replicas are with a tenant, as they last told; nobody is waited for."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            roster = await registry.roster()
    except (NotReady, Overloaded, TimeoutError):
        return Following(converged=None, live=0, others={})
    since = last_change.at if last_change is not None else tenant.created_at
    change = Change(
        tenant_id=tenant.id,
        committed_by=min(since + _CLOCKS_DIFFER, roster.read_at),
        revision=tenant.revision,
        invalidations=tenant.invalidations,
    )
    verdicts = {replica.id: _verdict_now(replica, roster, change) for replica in roster.replicas}
    others: dict[str, Verdict] = {
        replica_id: verdict for replica_id, verdict in verdicts.items() if verdict != "converged"
    }
    live = sum(verdict != "silent" for verdict in verdicts.values())
    return Following(converged=not others, live=live, others=others)


def _verdict_now(replica: ReplicaRow, roster: Roster, change: Change) -> Verdict:
    """A receipt asks what a replica has ever served; status is about now, of which silence says nothing."""
    return "silent" if roster.is_silent(replica) else judge_replica(replica, roster, change)


def _last_change(entry: LedgerEntry) -> LastChange:
    return LastChange(
        revision=entry.revision,
        at=entry.occurred_at,
        by=entry.actor_sub,
        by_type=entry.actor_type,
        action=entry.action,
        reason=entry.reason,
    )
