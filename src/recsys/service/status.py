"""A tenant's status over HTTP: what is current, what is served, and whether these are the same everywhere."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from litestar import Controller, get

from recsys.control.read_status import Following, LastChange, read_current_state, read_following
from recsys.domain.access import Permission
from recsys.domain.tenant import Tenant, TenantStatus
from recsys.service.call import IN_TENANT, Call, Given
from recsys.serving.status import ServedSignals, served_signals

if TYPE_CHECKING:
    from recsys.control.read_status import CurrentState
    from recsys.domain.history import Pointers
    from recsys.serving.snapshot import Snapshot


class Versions(msgspec.Struct, kw_only=True):
    """A revision and the versions that go with it; null: none, the defaults serve."""

    revision: int | None
    config_version: str | None
    rules_version: str | None


class SurfaceStatus(msgspec.Struct, kw_only=True):
    """One surface. ``served``: by the answering worker; null: nothing. ``manifest_version``: the current one.

    ``manifest_moved_at``, ``manifest_age_seconds``: since when, and for how long, that is current.
    """

    served: ServedSignals | None
    manifest_version: str | None
    manifest_moved_at: datetime | None
    manifest_age_seconds: float | None


class StatusAnswer(msgspec.Struct, kw_only=True):
    """A tenant. ``served`` and ``incompatible`` are the answering worker's; ``replicas`` says how far the others are.

    ``incompatible``: the documents that it cannot serve, in whose place it serves the last good ones it had.
    ``known_good``: the last revision with that label. ``quarantined``: how many versions are under quarantine.
    """

    tenant_id: str
    external_id: str
    status: TenantStatus
    frozen: bool
    data_revision: int
    current: Versions
    served: Versions
    incompatible: str | None
    surfaces: dict[str, SurfaceStatus]
    known_good: int | None
    quarantined: int
    last_change: LastChange | None
    replicas: Following


class StatusController(Controller):
    """What a tenant is served with."""

    path = "/v1/admin/tenants/{tenant_id:str}/status"
    dependencies = IN_TENANT
    tags = ("Tenants",)

    @get("/", permission=Permission.READ, summary="Read a tenant's status")
    async def read(self, call: Given[Call], tenant: Given[Tenant]) -> StatusAnswer:
        """What is current, what is served, since when, and by whom."""
        service = call.service
        current = await read_current_state(service.store, tenant.id)
        following = await read_following(service.registry, tenant, current.last_change)
        snapshot = service.replica.snapshot(tenant.id)
        health = service.replica.health().tenants.get(tenant.id)
        return StatusAnswer(
            tenant_id=tenant.id,
            external_id=tenant.external_id,
            status=tenant.status,
            frozen=tenant.frozen,
            data_revision=tenant.data_revision,
            current=_versions(current.last_change.revision if current.last_change else 0, current.pointers),
            served=_served(snapshot),
            incompatible=health.incompatible if health is not None else None,
            surfaces=_surfaces(snapshot, current, service.clock.now()),
            known_good=current.known_good,
            quarantined=current.quarantined,
            last_change=current.last_change,
            replicas=following,
        )


def _served(snapshot: Snapshot | None) -> Versions:
    if snapshot is None:
        return Versions(revision=None, config_version=None, rules_version=None)
    return _versions(snapshot.revision, snapshot.documents.pointers)


def _versions(revision: int, pointers: Pointers) -> Versions:
    return Versions(revision=revision, config_version=pointers.config, rules_version=pointers.rules)


def _surfaces(snapshot: Snapshot | None, current: CurrentState, now: datetime) -> dict[str, SurfaceStatus]:
    served, moved_at = served_signals(snapshot), current.manifests_moved_at
    return {
        name: SurfaceStatus(
            served=served.get(name),
            manifest_version=current.pointers.manifests.get(name),
            manifest_moved_at=moved_at.get(name),
            manifest_age_seconds=max(0.0, (now - moved_at[name]).total_seconds()) if name in moved_at else None,
        )
        for name in sorted(served.keys() | current.pointers.manifests.keys())
    }
