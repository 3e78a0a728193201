"""The receipt of a change: which replicas serve it, and how long each of them took; or who does not yet."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec

from recsys.domain.errors import NotReady, Overloaded
from recsys.domain.replica import Change, Verdict, judge_replica

if TYPE_CHECKING:
    from recsys.domain.ports import ReplicaRegistry
    from recsys.domain.replica import ReplicaRow, Roster

CAP_S: Final = 2.0
_PAUSES_S = (0.003, 0.005, 0.01, 0.02)
_NUDGE_AFTER_S = 0.1
_LAST_LOOK_S = 0.25
GONE = "The database could not be asked how far the replicas are: the change is made, but who serves it is not known."


class ReplicaReceipt(msgspec.Struct, kw_only=True):
    """One replica. ``took_ms``: when its evidence was seen, counted from the commit; null while there is none.

    ``revision``: of the tenant, as the replica last told of it; null: it did not. ``incompatible``: the documents
    that it cannot read, in whose place it serves the last good ones it had.
    """

    id: str
    host: str
    pid: int
    status: Verdict
    revision: int | None
    took_ms: float | None
    heartbeat_age_ms: float
    incompatible: str | None


class Receipt(msgspec.Struct, kw_only=True):
    """Whether every live replica serves a change; ``reason``: why that is not known."""

    converged: bool
    waited_ms: float
    replicas: list[ReplicaReceipt]
    reason: str | None = None


async def converge(
    registry: ReplicaRegistry, tenant_id: str, *, revision: int = 0, invalidations: int = 0, cap_s: float = CAP_S
) -> Receipt:
    """Wait until every live replica serves a committed change, or ``cap_s`` have passed; never raises for want of it.

    Nobody waits for a replica that has read the change and says that it cannot serve it.

    ``revision``: the tenant's; ``invalidations``: the number that a request to read again has.
    """
    waiting = _Waiting(registry, (tenant_id, revision, invalidations), cap_s)
    reason = None
    try:
        while not await waiting.look() and waiting.passed_s() < cap_s:
            await waiting.pause()
    except (NotReady, Overloaded, TimeoutError):
        reason = GONE
    return waiting.receipt(reason)


class _Waiting:
    """One wait: looks, and remembers when each replica's evidence was seen."""

    def __init__(self, registry: ReplicaRegistry, change: tuple[str, int, int], cap_s: float) -> None:
        self._registry = registry
        self._change = change
        self._cap_s = cap_s
        self._began = monotonic()
        self._looks = 0
        self._nudged = False
        self._wanted: Change | None = None
        self._found: dict[str, ReplicaReceipt] = {}

    def passed_s(self) -> float:
        return monotonic() - self._began

    async def look(self) -> bool:
        """Read every replica's row; whether all of them serve the change, or have said that they cannot."""
        async with asyncio.timeout(max(self._cap_s - self.passed_s(), _LAST_LOOK_S)):
            roster = await self._registry.roster()
        tenant_id, revision, invalidations = self._change
        if self._wanted is None:
            # The change was committed before this look began, so before the time that it gives.
            self._wanted = Change(
                tenant_id=tenant_id, committed_by=roster.read_at, revision=revision, invalidations=invalidations
            )
        self._found = {each.id: self._judge(each, roster, self._wanted) for each in roster.replicas}
        return all(each.status in ("converged", "incompatible") for each in self._found.values())

    async def pause(self) -> None:
        """Give replicas time; those that have not looked by now may not have heard, and are told again, once."""
        if not self._nudged and self.passed_s() > _NUDGE_AFTER_S:
            self._nudged = True
            async with asyncio.timeout(_LAST_LOOK_S):
                await self._registry.nudge(self._change[0])
        await asyncio.sleep(_PAUSES_S[min(self._looks, len(_PAUSES_S) - 1)])
        self._looks += 1

    def receipt(self, reason: str | None) -> Receipt:
        return Receipt(
            converged=reason is None and all(each.status == "converged" for each in self._found.values()),
            waited_ms=_ms(self.passed_s()),
            replicas=list(self._found.values()),
            reason=reason,
        )

    def _judge(self, replica: ReplicaRow, roster: Roster, wanted: Change) -> ReplicaReceipt:
        verdict, before = judge_replica(replica, roster, wanted), self._found.get(replica.id)
        took_ms = before.took_ms if before else None
        if took_ms is None and verdict == "converged":
            took_ms = _ms(self.passed_s())
        said = replica.tenants.get(wanted.tenant_id)
        return ReplicaReceipt(
            id=replica.id,
            host=replica.host,
            pid=replica.pid,
            status=verdict,
            revision=said.revision if said else None,
            took_ms=took_ms,
            heartbeat_age_ms=round(roster.age_ms(replica), 1),
            incompatible=said.incompatible if said else None,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 1)
