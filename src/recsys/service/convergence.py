"""Waiting for replicas over HTTP: the ``wait`` parameter, and the receipt that an answer carries."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from litestar.di import Provide
from litestar.params import QueryParameter

from recsys.control.converge import CAP_S, Receipt, converge
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.tenant import Tenant
from recsys.service.call import Given

if TYPE_CHECKING:
    from recsys.service.state import Service

CONVERGED, NONE = "converged", "none"
Wait: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        description="`converged`: answer once every live replica serves it, after two seconds at most, with a receipt; "
        "`none`: do not wait for other replicas. Default: `converged` for a rollback, `none` for a change."
    ),
]


def waits_if_told(tenant: Given[Tenant], wait: Wait = None) -> bool:  # noqa: ARG001 - judged first, strangers learn nothing
    """Whether to wait for every replica: only when asked to."""
    return _read_wait(wait) or False


def waits(tenant: Given[Tenant], wait: Wait = None) -> bool:  # noqa: ARG001 - judged first, strangers learn nothing
    """Whether to wait for every replica: unless asked not to."""
    return _read_wait(wait) is not False


WAIT_IF_TOLD = {"waits_if_told": Provide(waits_if_told, sync_to_thread=False)}
WAIT_UNLESS_TOLD = {"waits": Provide(waits, sync_to_thread=False)}
"""Dependencies of routes below a tenant that change what is served."""


async def serve_change(service: Service, tenant_id: str, revision: int, *, waits: bool) -> Receipt | msgspec.UnsetType:
    """Return once this worker serves a committed change; ``waits``: once every replica does, with the receipt."""
    if not waits:
        await _follow(service, tenant_id, revision)
        return msgspec.UNSET
    waiting = converge(service.registry, tenant_id, revision=revision)
    _, receipt = await asyncio.gather(_follow(service, tenant_id, revision), waiting)
    return receipt


async def _follow(service: Service, tenant_id: str, revision: int) -> None:
    """Have this worker serve a committed revision of a tenant, unless the database leaves it waiting."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CAP_S):
            await service.replica.follow(tenant_id, revision)


def _read_wait(wait: str | None) -> bool | None:
    if wait not in (None, CONVERGED, NONE):
        detail = f"query parameter wait: {wait[:40]!r} is neither {CONVERGED} nor {NONE}."
        raise InvalidRequest(faults=[Fault("", detail)])
    return None if wait is None else wait == CONVERGED
