"""Quarantine over HTTP: of one version of a document, and all of a tenant."""

from __future__ import annotations

import re

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath

from recsys.control.quarantine import (
    QuarantineOutcome,
    QuarantineRequest,
    lift_quarantine,
    list_quarantined,
    quarantine_version,
)
from recsys.domain.access import Permission
from recsys.domain.document import DocumentRef
from recsys.domain.errors import VersionNotFound
from recsys.domain.names import VERSION_PATTERN
from recsys.domain.quarantine import QuarantinedVersion
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, Call, Given


class QuarantineRoutes(Controller):
    """What every kind of document can do with a version that is bad."""

    @post(
        "/versions/{version:str}/quarantine",
        permission=Permission.RESPOND,
        body=QuarantineRequest,
        status_code=200,
        summary="Put a version under quarantine",
    )
    async def quarantine(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        version: FromPath[str],
        wish: Given[QuarantineRequest],
    ) -> QuarantineOutcome:
        """Mark a version as bad: it becomes current again only with `X-Override-Quarantine`, or once this is lifted.

        The current version stays live, and `warnings` say so.
        """
        return await quarantine_version(call.service.store, call.actor, tenant.id, ref, check_version(version), wish)

    @delete(
        "/versions/{version:str}/quarantine",
        permission=Permission.RESPOND,
        status_code=200,
        summary="Lift the quarantine of a version",
    )
    async def lift(
        self, call: Given[Call], tenant: Given[Tenant], ref: Given[DocumentRef], version: FromPath[str]
    ) -> QuarantineOutcome:
        """Make a version one like any other again."""
        return await lift_quarantine(call.service.store, call.actor, tenant.id, ref, check_version(version))


class QuarantinePage(msgspec.Struct, kw_only=True):
    """Every version of a tenant that is under quarantine, latest first."""

    quarantined: list[QuarantinedVersion]


class QuarantineController(Controller):
    """All that is under quarantine."""

    path = "/v1/admin/tenants/{tenant_id:str}/quarantine"
    tags = ("History",)
    dependencies = IN_TENANT

    @get("/", permission=Permission.READ, summary="List what is under quarantine")
    async def quarantined(self, call: Given[Call], tenant: Given[Tenant]) -> QuarantinePage:
        """Every version of any document that is under quarantine, with who put it there, when and why."""
        return QuarantinePage(quarantined=await list_quarantined(call.service.store, tenant.id))


def check_version(version: str) -> str:
    """A version as it stands in a path, in lower case. Raises VersionNotFound for what cannot be one."""
    if not re.match(VERSION_PATTERN, version.lower()):
        raise VersionNotFound
    return version.lower()
