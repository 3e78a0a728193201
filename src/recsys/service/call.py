"""What handlers are given: the service, who is calling, the tenant of the path, the body, checked query parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import msgspec
from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import PathParameter, QueryParameter, SkipValidation
from litestar.routes import HTTPRoute

from recsys.domain.access import Actor, Permission, Principal
from recsys.domain.errors import Fault, InvalidRequest, TenantNotFound
from recsys.domain.names import EXTERNAL_ID_PATTERN, FORMS, SURFACE_PATTERN, UUID_PATTERN
from recsys.domain.tenant import Tenant
from recsys.domain.validation import MOST_FAULTS, ZonedTime, decode, did_you_mean
from recsys.service.authentication import actor_of
from recsys.service.content_type import require_json

if TYPE_CHECKING:
    from litestar import Litestar

    from recsys.service.state import Service

T = TypeVar("T")

Given: TypeAlias = NamedDependency[SkipValidation[T]]
"""An argument that a dependency of the application provides."""

AnyRequest: TypeAlias = "Request[Any, Any, Any]"

MAX_PAGE = 200
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, description=f"Entries per page; at most {MAX_PAGE}.")]
Number: TypeAlias = Annotated[int | None, QueryParameter(ge=0, le=2**53 - 1)]
Time: TypeAlias = Annotated[str | None, QueryParameter(description="An RFC 3339 time, exclusive.")]
SurfaceName: TypeAlias = Annotated[str, QueryParameter(name="surface", description="The surface.")]


@dataclass(frozen=True)
class Call:
    """One request to the admin API: the service, and who is asking."""

    service: Service
    principal: Principal
    actor: Actor


def dependencies(service: Service) -> dict[str, Provide]:
    """What the application gives to handlers that ask for it by name."""
    known: dict[tuple[str, str], list[str]] = {}

    def provide_call(request: AnyRequest) -> Call:
        headers = dict(request.scope["headers"])
        principal = service.authenticator.principal(headers)
        operation = request.scope["path_template"], request.method
        if operation not in known:
            known.update(query_parameters(request.app))
        _check_query(request, known[operation])
        client = request.client
        actor = actor_of(
            principal, headers, request_id=request_id_of(request), client_ip=client.host if client else None
        )
        return Call(service, principal, actor)

    return {
        "service": Provide(lambda: service, sync_to_thread=False),
        "call": Provide(provide_call, sync_to_thread=False),
        "wish": Provide(_provide_wish),
    }


def query_parameters(app: Litestar) -> dict[tuple[str, str], list[str]]:
    """By path and method, the query parameters that the handler or one of its dependencies takes."""
    return {
        (route.path_format, method): sorted(each.field_alias for each in model.expected_query_params)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (_, model) in route.route_handler_map.items()
    }


def _check_query(request: AnyRequest, known: list[str]) -> None:
    """Refuse a query parameter that would do nothing: ``limt=5`` must not pass for the default.

    Raises:
        InvalidRequest: naming each of them, and what is known.
    """
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        takes = f"Known: {', '.join(known)}." if known else "This path takes none."
        raise InvalidRequest(
            faults=[
                Fault("", f"query parameter {name[:80]!r}: unknown. {takes}", did_you_mean(name, known))
                for name in unknown[:MOST_FAULTS]
            ]
        )


def request_id_of(request: AnyRequest) -> str:
    """The id that the switch gave the request."""
    return str(request.scope["state"]["request_id"])


async def find_tenant(call: Call, reference: str, permission: Permission, known: Tenant | None = None) -> Tenant:
    """The tenant of a path (UUID or external id), for a caller who may do this to it.

    ``known``: the tenant as this worker last saw it, where only who it is matters, which never changes.

    Raises:
        TenantNotFound: none such, or another's; nothing in the answer tells the two apart.
        Forbidden: the caller's role does not allow it.
    """
    if not (re.match(EXTERNAL_ID_PATTERN, reference) or re.match(UUID_PATTERN, reference)):
        raise TenantNotFound
    tenant = known or await call.service.store.tenant(reference)
    call.principal.require(permission, tenant.id)
    return tenant


async def _provide_wish(request: AnyRequest, call: Given[Call]) -> object:  # noqa: ARG001 - strangers learn nothing
    return await _body(request)


async def _provide_tenant(
    request: AnyRequest, call: Given[Call], tenant_id: Annotated[str, PathParameter(description="UUID or external id.")]
) -> Tenant:
    return await find_tenant(call, tenant_id, request.route_handler.opt["permission"])


async def _provide_known_tenant(
    request: AnyRequest, call: Given[Call], tenant_id: Annotated[str, PathParameter(description="UUID or external id.")]
) -> Tenant:
    known = call.service.replica.directory.tenant(tenant_id)
    return await find_tenant(call, tenant_id, request.route_handler.opt["permission"], known)


async def _provide_tenant_wish(request: AnyRequest, tenant: Given[Tenant]) -> object:  # noqa: ARG001 - judged first
    return await _body(request)


IN_TENANT = {"tenant": Provide(_provide_tenant), "wish": Provide(_provide_tenant_wish)}
"""Dependencies of routes below a tenant: the tenant of the path first, for a caller who may, then the body."""

IN_KNOWN_TENANT = {**IN_TENANT, "tenant": Provide(_provide_known_tenant)}
"""The same, where the tenant's own settings do not matter: it saves a change a round trip to the database."""


async def _body(request: AnyRequest) -> object:
    """The JSON body as the Struct that the route names."""
    require_json(dict(request.scope["headers"]))
    return decode(await request.body(), request.route_handler.opt["body"])


def check_surface(surface: str) -> str:
    """A surface as it may stand in paths, queries and tables.

    Raises:
        InvalidRequest: naming what it may be.
    """
    if not re.match(SURFACE_PATTERN, surface):
        raise InvalidRequest(faults=[Fault("", f"surface: expected {FORMS[SURFACE_PATTERN]}, got {surface[:80]!r}.")])
    return surface


def page(limit: int) -> int:
    """How many entries to answer: asking for more than there may be in a page is not a mistake."""
    return min(limit, MAX_PAGE)


def read_time(name: str, text: str | None) -> datetime | None:
    """A query parameter that holds a time.

    Raises:
        InvalidRequest: naming the parameter.
    """
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        time: datetime = msgspec.convert(text.strip().replace(" ", "+"), ZonedTime)
        return time.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        detail = f"query parameter {name}: {text[:80]!r} is not an RFC 3339 time with a zone."
        raise InvalidRequest(faults=[Fault("", detail)]) from None
