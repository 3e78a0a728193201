"""Tenants: the boundary for data, configuration and access."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from recsys.domain.errors import Fault, Frozen, InvalidRequest
from recsys.domain.names import EXTERNAL_ID_PATTERN, FORMS, UUID_PATTERN

TenantStatus = Literal["active", "suspended"]


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant as stored.

    ``revision`` counts pointer moves, ``data_revision`` bulk loads, key changes and status changes, ``invalidations``
    the cache invalidations asked for; none of them is ever lowered.
    """

    id: str
    external_id: str
    name: str
    status: TenantStatus = "active"
    frozen: bool = False
    require_if_match: bool = False
    revision: int = 0
    data_revision: int = 0
    invalidations: int = 0
    created_at: datetime

    def check_not_frozen(self) -> None:
        """Before anything that is no rollback. Raises Frozen."""
        if self.frozen:
            raise Frozen


class TenantSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an admin may change about a tenant; None leaves a setting as it is."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    status: TenantStatus | None = None
    frozen: bool | None = None
    require_if_match: bool | None = None


def is_uuid(reference: str) -> bool:
    """Whether a tenant reference is a UUID (else it is an external id)."""
    return re.match(UUID_PATTERN, reference) is not None


def check_external_id(external_id: str) -> None:
    """Refuse an external id that could not stand in a path, or could be taken for a UUID.

    Raises:
        InvalidRequest: naming the fault.
    """
    if not re.match(EXTERNAL_ID_PATTERN, external_id):
        wanted = FORMS[EXTERNAL_ID_PATTERN]
        raise InvalidRequest(faults=[Fault("/external_id", f"Expected {wanted}, got {external_id[:80]!r}.")])
    if is_uuid(external_id):
        raise InvalidRequest(faults=[Fault("/external_id", "Must not look like a UUID: paths accept either.")])
