"""The application: a service in, an ASGI application out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from litestar import Litestar, MediaType, Response, get
from litestar.exceptions import HTTPException

from recsys.service import docs_page, operations
from recsys.service.api_key import PlatformKeysController, TenantKeysController
from recsys.service.audit import AuditController
from recsys.service.call import AnyRequest, dependencies, request_id_of
from recsys.service.catalogue import LoadsController
from recsys.service.document import ConfigController, ManifestController, RulesController
from recsys.service.history import HistoryController
from recsys.service.hot import hot_handlers
from recsys.service.invalidation import InvalidationController
from recsys.service.openapi import describe
from recsys.service.problem import MEDIA_TYPE, problem
from recsys.service.quarantine import QuarantineController
from recsys.service.replicas import ReplicasController
from recsys.service.status import StatusController
from recsys.service.switch import Switch
from recsys.service.tenant import TenantsController

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from recsys.service.asgi import Application
    from recsys.service.state import Service

HANDLERS = (
    TenantsController,
    TenantKeysController,
    PlatformKeysController,
    ConfigController,
    RulesController,
    ManifestController,
    HistoryController,
    QuarantineController,
    LoadsController,
    InvalidationController,
    AuditController,
    ReplicasController,
    StatusController,
    *operations.HANDLERS,
)


def build_app(service: Service) -> Switch:
    """The ASGI application of a service; its lifespan starts and stops the replica."""
    provided = dependencies(service)

    def lifespan(_: Litestar) -> AbstractAsyncContextManager[None]:
        return service.running()

    def handle(request: AnyRequest, error: Exception) -> Response[bytes]:
        return _respond(service, request, error)

    @functools.cache
    def document() -> dict[str, Any]:
        return describe(HANDLERS, provided)

    @get("/openapi.json", sync_to_thread=True)
    def openapi_json() -> dict[str, Any]:
        return document()

    @get("/docs", media_type=MediaType.HTML, sync_to_thread=True)
    def docs() -> str:
        return docs_page.render(document())

    rest = Litestar(
        [*HANDLERS, openapi_json, docs],
        dependencies=provided,
        exception_handlers={HTTPException: handle, Exception: handle},
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=service.limits.body_bytes,
    )
    return Switch(service, hot_handlers(service), cast("Application", rest))


def _respond(service: Service, request: AnyRequest, error: Exception) -> Response[bytes]:
    status, headers, body, code = problem(error, request_id_of(request))
    if code == "RECSYS_VERSION_MISMATCH":
        service.metrics.version_mismatch()
    named = {name.decode("ascii"): value.decode("latin-1") for name, value in headers}
    return Response(body, status_code=status, headers=named, media_type=MEDIA_TYPE)
