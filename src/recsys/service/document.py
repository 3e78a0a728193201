"""The three documents over HTTP: one controller, and per kind a path and a dependency that names the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Response, get, post, put
from litestar.di import Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from recsys.control.change_document import change_document, inspect_artifacts
from recsys.control.quarantine import STILL_LIVE
from recsys.control.read_document import diff_versions, list_versions, read_document, read_version
from recsys.control.roll_back import RollbackRequest, roll_back_document
from recsys.domain.access import Permission
from recsys.domain.canonical import parse
from recsys.domain.config import Config
from recsys.domain.document import DocumentRef, Lint
from recsys.domain.errors import InvalidRequest
from recsys.domain.manifest import Manifest
from recsys.domain.precondition import Preconditions
from recsys.domain.rules import Rule, RulesEnvelope
from recsys.domain.tenant import Tenant
from recsys.service.call import AnyRequest, Call, Given, Limit, Time, check_surface, page, read_time
from recsys.service.conditions import CONDITIONS
from recsys.service.content_type import require_json
from recsys.service.convergence import WAIT_IF_TOLD, WAIT_UNLESS_TOLD, serve_change
from recsys.service.document_answer import (
    DiffAnswer,
    DocumentAnswer,
    VersionAnswer,
    VersionPage,
    answer_pointer,
    answer_version,
    named,
)
from recsys.service.quarantine import QuarantineRoutes, check_version
from recsys.serving.background import aside
from recsys.serving.lint import lint

if TYPE_CHECKING:
    from recsys.control.outcome import DocumentOutcome

NO_STORE = {"Cache-Control": "no-store"}
UNREADABLE = "UNREADABLE"
ON_DOCUMENTS = {**CONDITIONS, **WAIT_IF_TOLD, **WAIT_UNLESS_TOLD}


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


class _DocumentController(QuarantineRoutes):
    """What can be done to a document of any kind."""

    dependencies = ON_DOCUMENTS

    @get("/", permission=Permission.READ, summary="Read the current document")
    async def read(self, call: Given[Call], tenant: Given[Tenant], ref: Given[DocumentRef]) -> Response[DocumentAnswer]:
        """The current document, its version (also as `ETag`) and the revision at which the pointer last moved."""
        pointer = await read_document(call.service.store, tenant.id, ref)
        return _respond(ref, answer_pointer(tenant, pointer))

    @put("/", permission=Permission.CHANGE, summary="Change the document")
    async def change(
        self,
        request: AnyRequest,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        preconditions: Given[Preconditions],
        override: Given[str | None],
        waits_if_told: Given[bool],
    ) -> Response[DocumentAnswer]:
        """Make the body the current document. Repeating it changes nothing; `warnings` say what may not work."""
        require_json(dict(request.scope["headers"]))
        service = call.service
        data = await request.body()
        await inspect_artifacts(service.store, service.blobs, tenant.id, ref, data, preconditions)
        outcome = await change_document(
            service.store, call.actor, tenant.id, ref, data, preconditions, override, blobs=service.blobs
        )
        return await _served(call, outcome, waits=waits_if_told)

    @post("/rollback", permission=Permission.RESPOND, body=RollbackRequest, status_code=200, summary="Go back")
    async def roll_back(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        wish: Given[RollbackRequest],
        preconditions: Given[Preconditions],
        idempotency_key: Given[str | None],
        override: Given[str | None],
        waits: Given[bool],
    ) -> Response[DocumentAnswer]:
        """Move the pointer back, to a version, revision, time, audit entry or number of steps; wait for replicas."""
        outcome = await roll_back_document(
            call.service.store,
            call.actor,
            tenant.id,
            ref,
            wish,
            preconditions,
            idempotency_key,
            override,
            blobs=call.service.blobs,
        )
        return await _served(call, outcome, waits=waits)

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
            versions=found,
            next_before=found[-1].created_at if len(found) == page(limit) else None,
        )

    @get("/versions/{version:str}", permission=Permission.READ, summary="Read a stored version")
    async def read_version(
        self, call: Given[Call], tenant: Given[Tenant], ref: Given[DocumentRef], version: FromPath[str]
    ) -> Response[VersionAnswer]:
        """One stored version, verbatim."""
        found = await read_version(call.service.store, tenant.id, ref, check_version(version))
        answer = answer_version(tenant, found)
        return Response(named(ref.kind, answer), headers=NO_STORE)  # type: ignore[arg-type]  # named after its kind

    @get("/diff", permission=Permission.READ, summary="Compare two versions")
    async def diff(
        self,
        call: Given[Call],
        tenant: Given[Tenant],
        ref: Given[DocumentRef],
        from_: Annotated[str, QueryParameter(name="from", description="A version, or `current`.")],
        to: FromQuery[str] = "current",
    ) -> DiffAnswer:
        """What differs, as JSON pointers: a thousand at most, of `total`. Each side is a version or `current`."""
        found = await diff_versions(call.service.store, tenant.id, ref, _check_side(from_), _check_side(to))
        return DiffAnswer(
            from_=found.from_version, to=found.to_version, differences=found.differences, total=found.total
        )


class ConfigController(_DocumentController):
    """The config document."""

    path = "/v1/admin/tenants/{tenant_id:str}/config"
    tags = ("Config",)
    dependencies = {**ON_DOCUMENTS, "ref": Provide(config_ref, sync_to_thread=False)}  # noqa: RUF012
    opt = {"kind": "config", "body": Config}  # noqa: RUF012


class RulesController(_DocumentController):
    """The rules document."""

    path = "/v1/admin/tenants/{tenant_id:str}/rules"
    tags = ("Rules",)
    dependencies = {**ON_DOCUMENTS, "ref": Provide(rules_ref, sync_to_thread=False)}  # noqa: RUF012
    opt = {"kind": "rules", "body": list[Rule] | RulesEnvelope}  # noqa: RUF012


class ManifestController(_DocumentController):
    """The manifest document of one surface."""

    path = "/v1/admin/tenants/{tenant_id:str}/manifests/{surface:str}"
    tags = ("Manifests",)
    dependencies = {**ON_DOCUMENTS, "ref": Provide(manifest_ref, sync_to_thread=False)}  # noqa: RUF012
    opt = {"kind": "manifest", "body": Manifest}  # noqa: RUF012


async def _served(call: Call, outcome: DocumentOutcome, *, waits: bool) -> Response[DocumentAnswer]:
    """The answer to a change, given only once this worker serves it; ``waits``: or every replica does."""
    receipt = await serve_change(call.service, outcome.tenant.id, outcome.tenant.revision, waits=waits)
    answer = answer_pointer(outcome.tenant, outcome.pointer)
    answer.changed, answer.receipt = outcome.changed, receipt
    snapshot = call.service.replica.snapshot(outcome.tenant.id)
    items = sum(len(part.signals.ids) for part in snapshot.parts.values()) if snapshot else 0
    length = len(outcome.pointer.version.text) if outcome.pointer else 0
    answer.warnings = await aside(length + items, _lint, call, outcome)
    answer.warnings += [*outcome.warnings, *_not_served(call, outcome)]
    if answer.quarantined is not None and outcome.live:
        answer.warnings.append(STILL_LIVE)
    return _respond(outcome.ref, answer)


def _not_served(call: Call, outcome: DocumentOutcome) -> list[Lint]:
    """A warning when this worker cannot serve the change, which is stored all the same."""
    snapshot = call.service.replica.snapshot(outcome.tenant.id)
    if snapshot is None or snapshot.revision >= outcome.tenant.revision:
        return []
    detail = f"This worker still serves revision {snapshot.revision}; /health/detailed says why."
    return [Lint(code="NOT_SERVED", detail=detail)]


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


def _respond(ref: DocumentRef, answer: DocumentAnswer) -> Response[DocumentAnswer]:
    etag = {"ETag": f'"{answer.version}"'} if answer.version else {}
    content: Any = named(ref.kind, answer)
    return Response(content, headers={**NO_STORE, **etag})


def _check_side(side: str) -> str:
    return side if side == "current" else check_version(side)
