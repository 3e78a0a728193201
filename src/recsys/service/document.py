"""The three documents over HTTP: one controller, and per kind a path and a dependency that names the document."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter

from recsys.control.change_document import change_document
from recsys.control.read_document import diff_versions, list_versions, read_document, read_version
from recsys.control.roll_back import RollbackRequest, roll_back_document
from recsys.domain.access import Permission
from recsys.domain.canonical import parse
from recsys.domain.config import Config
from recsys.domain.document import DocumentKind, DocumentRef, Lint, Pointer
from recsys.domain.errors import InvalidRequest, VersionNotFound
from recsys.domain.manifest import Manifest
from recsys.domain.names import VERSION_PATTERN
from recsys.domain.precondition import Preconditions, read_preconditions
from recsys.domain.rules import Rule
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, AnyRequest, Call, Given, Limit, Time, check_surface, page, read_time
from recsys.service.content_type import require_json
from recsys.serving.lint import lint

if TYPE_CHECKING:
    from recsys.control.outcome import DocumentOutcome

NO_STORE = {"Cache-Control": "no-store"}
UNREADABLE = "UNREADABLE"


class DocumentAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A document; on the wire, ``version`` and ``document`` are named after its kind."""

    tenant_id: str
    version: str | None
    revision: int | None
    updated_at: datetime | None
    updated_by: str | None
    document: Any
    changed: bool | msgspec.UnsetType = msgspec.UNSET
    warnings: list[Lint] | msgspec.UnsetType = msgspec.UNSET


class VersionAnswer(msgspec.Struct, kw_only=True):
    """A stored version; on the wire, ``version`` and ``document`` are named after its kind."""

    tenant_id: str
    version: str
    created_at: datetime
    created_by: str
    comment: str | None
    document: Any


class VersionLine(msgspec.Struct, kw_only=True):
    """A stored version in a list."""

    version: str
    created_at: datetime
    created_by: str
    comment: str | None
    current: bool


class VersionPage(msgspec.Struct, kw_only=True):
    """Stored versions, newest first; ``next_before`` asks for the next page."""

    versions: list[VersionLine]
    next_before: datetime | None


class DifferenceLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One difference; ``pointer`` is into the document that has the value."""

    op: Literal["added", "removed", "changed"]
    pointer: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


class DiffAnswer(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """What differs between two versions."""

    from_: str
    to: str
    differences: list[DifferenceLine]


def preconditions_of(
    request: AnyRequest,
    tenant: Given[Tenant],  # noqa: ARG001 - judged first, so that strangers learn nothing
    # Several lines of it are one list, of which Litestar gives the last line only.
    if_match: Annotated[  # noqa: ARG001 - here to be documented
        str | None, HeaderParameter(name="If-Match", description="The version you started from.")
    ] = None,
    if_revision: Annotated[str | None, HeaderParameter(name="If-Revision", description="Its revision.")] = None,
    if_none_match: Annotated[str | None, HeaderParameter(name="If-None-Match", description="`*`: create only.")] = None,
) -> Preconditions:
    """The preconditions in the headers; ``If-Match`` may stand on several lines."""
    return read_preconditions(request.headers.getall("if-match", []), if_revision, if_none_match)


def idempotency_key_of(
    tenant: Given[Tenant],  # noqa: ARG001 - judged first, so that strangers learn nothing
    key: Annotated[
        str | None,
        HeaderParameter(name="Idempotency-Key", description="A repeated request with the same key changes nothing."),
    ] = None,
) -> str | None:
    """The key, when there is one.

    Raises:
        InvalidRequest: longer than 255 characters or not printable.
    """
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise InvalidRequest("Idempotency-Key has 1 to 255 printable ASCII characters.")
    return key


def config_ref() -> DocumentRef:
    """The config of the tenant."""
    return DocumentRef("config")


def rules_ref() -> DocumentRef:
    """The rules of the tenant."""
    return DocumentRef("rules")


def manifest_ref(
    tenant: Given[Tenant],  # noqa: ARG001 - judged first, so that strangers learn nothing
    surface: FromPath[str],
) -> DocumentRef:
    """The manifest of the surface in the path."""
    return DocumentRef("manifest", check_surface(surface))


CONDITIONS = {
    **IN_TENANT,
    "preconditions": Provide(preconditions_of, sync_to_thread=False),
    "idempotency_key": Provide(idempotency_key_of, sync_to_thread=False),
}
"""Dependencies of routes below a tenant that change it."""


class _DocumentController(Controller):
    """What can be done to a document of any kind."""

    dependencies = CONDITIONS

    @get("/", permission=Permission.READ, summary="Read the current document")
    async def read(self, call: Given[Call], tenant: Given[Tenant], ref: Given[DocumentRef]) -> Response[DocumentAnswer]:
        """The current document, its version (also as `ETag`) and the revision at which the pointer last moved."""
        pointer = await read_document(call.service.store, tenant.id, ref)
        return _respond(ref, _answer(tenant, pointer))

    @put("/", permission=Permission.CHANGE, summary="Change the document")
    async def change(
        self,
        request: AnyRequest,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        preconditions: Given[Preconditions],
    ) -> Response[DocumentAnswer]:
        """Make the body the current document. Repeating it changes nothing; `warnings` say what may not work."""
        require_json(dict(request.scope["headers"]))
        service = call.service
        data = await request.body()
        outcome = await change_document(service.store, call.actor, tenant.id, ref, data, preconditions)
        return await _served(call, outcome)

    @post("/rollback", permission=Permission.RESPOND, body=RollbackRequest, status_code=200, summary="Go back")
    async def roll_back(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        wish: Given[RollbackRequest],
        preconditions: Given[Preconditions],
        idempotency_key: Given[str | None],
    ) -> Response[DocumentAnswer]:
        """Move the pointer back, to a version, revision, time, audit entry or number of steps."""
        outcome = await roll_back_document(
            call.service.store, call.actor, tenant.id, ref, wish, preconditions, idempotency_key
        )
        return await _served(call, outcome)

    @get("/versions", permission=Permission.READ, summary="List stored versions")
    async def versions(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        limit: Limit = 100,
        before: Time = None,
    ) -> VersionPage:
        """Stored versions, newest first."""
        found = await list_versions(call.service.store, tenant.id, ref, page(limit), read_time("before", before))
        return VersionPage(
            versions=[msgspec.convert(each, VersionLine, from_attributes=True) for each in found],
            next_before=found[-1].created_at if len(found) == page(limit) else None,
        )

    @get("/versions/{version:str}", permission=Permission.READ, summary="Read a stored version")
    async def read_version(
        self, call: Given[Call], tenant: Given[Tenant], ref: Given[DocumentRef], version: FromPath[str]
    ) -> Response[VersionAnswer]:
        """One stored version, verbatim."""
        found = await read_version(call.service.store, tenant.id, ref, _check_version(version))
        answer = VersionAnswer(
            tenant_id=tenant.id,
            version=found.etag,
            created_at=found.created_at,
            created_by=found.created_by_sub,
            comment=found.comment,
            document=msgspec.Raw(found.text.encode()),
        )
        return Response(_named(ref.kind, answer), headers=NO_STORE)  # type: ignore[arg-type]  # named after its kind

    @get("/diff", permission=Permission.READ, summary="Compare two versions")
    async def diff(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        from_: Annotated[str, QueryParameter(name="from", description="A version, or `current`.")],
        to: FromQuery[str] = "current",
    ) -> DiffAnswer:
        """What differs, as JSON pointers. Each side is a version or `current`."""
        found = await diff_versions(call.service.store, tenant.id, ref, _check_side(from_), _check_side(to))
        lines = [msgspec.convert(each, DifferenceLine, from_attributes=True) for each in found.differences]
        return DiffAnswer(from_=found.from_version, to=found.to_version, differences=lines)


class ConfigController(_DocumentController):
    """The config document."""

    path = "/v1/admin/tenants/{tenant_id:str}/config"
    tags = ("Config",)
    dependencies = {**CONDITIONS, "ref": Provide(config_ref, sync_to_thread=False)}  # noqa: RUF012
    opt = {"kind": "config", "body": Config}  # noqa: RUF012


class RulesController(_DocumentController):
    """The rules document."""

    path = "/v1/admin/tenants/{tenant_id:str}/rules"
    tags = ("Rules",)
    dependencies = {**CONDITIONS, "ref": Provide(rules_ref, sync_to_thread=False)}  # noqa: RUF012
    opt = {"kind": "rules", "body": list[Rule]}  # noqa: RUF012


class ManifestController(_DocumentController):
    """The manifest document of one surface."""

    path = "/v1/admin/tenants/{tenant_id:str}/manifests/{surface:str}"
    tags = ("Manifests",)
    dependencies = {**CONDITIONS, "ref": Provide(manifest_ref, sync_to_thread=False)}  # noqa: RUF012
    opt = {"kind": "manifest", "body": Manifest}  # noqa: RUF012


async def _served(call: Call, outcome: DocumentOutcome) -> Response[DocumentAnswer]:
    """The answer to a change, given only once this worker serves it."""
    await call.service.replica.catch_up(loads=False)
    answer = _answer(outcome.tenant, outcome.pointer)
    answer.changed = outcome.changed
    answer.warnings = await asyncio.to_thread(_lint, call, outcome)  # a long document must not hold others up
    return _respond(outcome.ref, answer)


def _lint(call: Call, outcome: DocumentOutcome) -> list[Lint]:
    catalogue = call.service.replica.catalogue(outcome.tenant.id)
    if outcome.pointer is None or catalogue is None:
        return []
    try:
        value = parse(outcome.pointer.version.text.encode())
        return lint(outcome.ref, value, catalogue, call.service.clock.now())
    except InvalidRequest as refusal:
        # Stored by another version of this service: it may be applied, but what it says cannot be judged.
        return [Lint(code=UNREADABLE, detail=f"This version of the service does not read it: {refusal.detail}")]


def _answer(tenant: Tenant, pointer: Pointer | None) -> DocumentAnswer:
    return DocumentAnswer(
        tenant_id=tenant.id,
        version=pointer.version.etag if pointer else None,
        revision=pointer.revision if pointer else tenant.revision,
        updated_at=pointer.updated_at if pointer else None,
        updated_by=pointer.updated_by_sub if pointer else None,
        document=msgspec.Raw(pointer.version.text.encode()) if pointer else None,
    )


def _respond(ref: DocumentRef, answer: DocumentAnswer) -> Response[DocumentAnswer]:
    etag = {"ETag": f'"{answer.version}"'} if answer.version else {}
    content: Any = _named(ref.kind, answer)
    return Response(content, headers={**NO_STORE, **etag})


def field_names(kind: DocumentKind) -> dict[str, str]:
    """How the fields of an answer are called for a kind of document."""
    return {"version": kind.version_field, "document": kind.name}


def _named(kind: DocumentKind, answer: DocumentAnswer | VersionAnswer) -> dict[str, Any]:
    names = field_names(kind)
    found = ((name, getattr(answer, name)) for name in answer.__struct_fields__)
    return {names.get(name, name): value for name, value in found if value is not msgspec.UNSET}


def _check_version(version: str) -> str:
    if not re.match(VERSION_PATTERN, version.lower()):
        raise VersionNotFound
    return version.lower()


def _check_side(side: str) -> str:
    return side if side == "current" else _check_version(side)
