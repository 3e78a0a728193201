"""The replicas over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from litestar import Controller, get

from recsys.domain.access import Permission
from recsys.domain.replica import SyncedTenant
from recsys.service.call import Call, Given

if TYPE_CHECKING:
    from recsys.domain.access import Principal
    from recsys.domain.replica import ReplicaRow, Roster


class ReplicaAnswer(msgspec.Struct, kw_only=True):
    """One serving process. Every commit before ``synced_through`` is served, but for the tenants that are named.

    ``tenants``: of those that you have access to, the ones that moved a moment ago or are behind.
    """

    id: str
    host: str
    pid: int
    code_version: str
    status: Literal["live", "silent"]
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age_ms: float
    synced_through: datetime | None
    tenants: dict[str, SyncedTenant]


class ReplicaList(msgspec.Struct, kw_only=True):
    """All replicas that wrote within the last 45 seconds. ``read_at`` and all other times: the database's clock."""

    read_at: datetime
    replicas: list[ReplicaAnswer]


class ReplicasController(Controller):
    """Serving processes."""

    path = "/v1/admin/replicas"
    tags = ("Operations",)

    @get("/", summary="List the replicas")
    async def list_all(self, call: Given[Call]) -> ReplicaList:
        """Who serves, when each last wrote, and how far it is."""
        call.principal.require(Permission.READ)
        roster = await call.service.registry.roster()
        answers = [_answer(each, roster, call.principal) for each in roster.replicas]
        return ReplicaList(read_at=roster.read_at, replicas=answers)


def _answer(replica: ReplicaRow, roster: Roster, principal: Principal) -> ReplicaAnswer:
    return ReplicaAnswer(
        id=replica.id,
        host=replica.host,
        pid=replica.pid,
        code_version=replica.code_version,
        status="silent" if roster.is_silent(replica) else "live",
        started_at=replica.started_at,
        heartbeat_at=replica.heartbeat_at,
        heartbeat_age_ms=round(roster.age_ms(replica), 1),
        synced_through=replica.synced_through,
        tenants={name: said for name, said in replica.tenants.items() if principal.reaches(name)},
    )
