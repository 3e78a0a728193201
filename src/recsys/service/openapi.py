"""The OpenAPI document: what Litestar derives from its handlers, and the hot paths and bodies from the same Structs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.routes import HTTPRoute

from recsys import __version__
from recsys.domain.document import KINDS
from recsys.service.document_answer import DocumentAnswer, VersionAnswer, field_names
from recsys.service.hot import ROUTES
from recsys.service.problem import MEDIA_TYPE, ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.di import Provide
    from litestar.types import ControllerRouterHandler

    from recsys.service.hot import HotRoute

REF = "#/components/schemas/{name}"
ROW_FORMATS = ("application/x-ndjson", "text/csv")
DESCRIPTION = "Recommendations that name the versions that produced them, and one call that brings any of them back."
SECURITY = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
REASON = {
    "name": "X-Change-Reason",
    "in": "header",
    "required": False,
    "description": "Why; goes into ledger and audit log.",
    "schema": {"type": "string", "maxLength": 1000},
}


def describe(handlers: Sequence[ControllerRouterHandler], dependencies: Mapping[str, Provide]) -> dict[str, Any]:
    """The whole document as JSON-ready data.

    Litestar writes it from an application that is never served, so that serving needs none of Litestar's own pages.
    """
    config = OpenAPIConfig(title="RecSys", version=__version__, description=DESCRIPTION, create_examples=False)
    described = Litestar(handlers, dependencies=dict(dependencies), openapi_config=config, logging_config=None)
    document: dict[str, Any] = json.loads(msgspec.json.encode(described.openapi_schema.to_schema()))
    bodies = _describe_operations(described, document)
    document["paths"] |= {route.path: {"post": _hot_operation(route)} for route in ROUTES}
    _name_documents(document)
    types = [*bodies, *(route.request for route in ROUTES), *(route.response for route in ROUTES), ProblemDocument]
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(msgspec.json.schema_components(types, ref_template=REF)[1])
    components["securitySchemes"] = SECURITY
    document["security"] = [{name: []} for name in SECURITY]
    return document


def _describe_operations(app: Litestar, document: dict[str, Any]) -> list[Any]:
    """Add to each operation what Litestar cannot know; returns the types of the bodies."""
    bodies: list[Any] = []
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods:
                operation = document["paths"].get(route.path_format, {}).get(method.lower())
                if operation is None:
                    continue
                operation["responses"]["default"] = _PROBLEM
                operation["responses"].pop("400", None)
                if permission := handler.opt.get("permission"):
                    operation["description"] = f"{operation.get('description', '')}\n\nTo be allowed to: {permission}."
                if method not in ("GET", "HEAD", "OPTIONS"):
                    operation.setdefault("parameters", []).append(REASON)
                    bodies += _describe_body(operation, handler.opt, method)
    return bodies


def _describe_body(operation: dict[str, Any], opt: Mapping[str, Any], method: str) -> tuple[Any, ...]:
    """Say what the body is; returns the types that this names."""
    if rows := opt.get("load"):
        content = {each: {"schema": {"type": "string", "format": "binary"}} for each in ROW_FORMATS}
        names = " or ".join(f"`{each.__name__}`" for each in rows)
        words = f"A row a line, in CSV under a header. Its fields are those of the schema {names}."
        operation["requestBody"] = {"required": True, "description": words, "content": content}
        return tuple(rows)
    body = opt.get("body")
    if body is None:
        return ()
    if method != "DELETE":
        operation["requestBody"] = _json_body(body)
    return (body,)


def _hot_operation(route: HotRoute) -> dict[str, Any]:
    description = (route.response.__doc__ or "").strip()
    return {
        "tags": ["Serving"],
        "summary": route.summary,
        "operationId": route.path.removeprefix("/v1/").replace("/", "_"),
        "requestBody": _json_body(route.request),
        "responses": {
            "200": {"description": description, "content": {"application/json": {"schema": _schema(route.response)}}},
            "default": _PROBLEM,
        },
    }


def _json_body(type_: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _schema(type_)}}}


def _schema(type_: Any) -> Any:
    return msgspec.json.schema_components([type_], ref_template=REF)[0][0]


_PROBLEM = {
    "description": "Something is wrong; `code` says what.",
    "content": {MEDIA_TYPE: {"schema": _schema(ProblemDocument)}},
}


def _name_documents(document: dict[str, Any]) -> None:
    """Give each kind of document its own answers, whose fields are named after it."""
    schemas = document["components"]["schemas"]
    for answer in (DocumentAnswer.__name__, VersionAnswer.__name__):
        general = schemas.pop(answer)
        for kind in KINDS.values():
            schemas[kind.name.capitalize() + answer] = _renamed(general, field_names(kind))
    for path, item in document["paths"].items():
        kind_name = next((name for name in KINDS if f"{{tenant_id}}/{name}" in path), None)
        if kind_name is not None:
            document["paths"][path] = _with_references(item, kind_name)


def _renamed(schema: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    properties = {names.get(name, name): value for name, value in schema["properties"].items()}
    required = [names.get(name, name) for name in schema.get("required", [])]
    return {**schema, "properties": properties, "required": required}


def _with_references(item: dict[str, Any], kind_name: str) -> Any:
    text = json.dumps(item)
    for answer in (DocumentAnswer.__name__, VersionAnswer.__name__):
        general, own = REF.format(name=answer), REF.format(name=kind_name.capitalize() + answer)
        text = text.replace(f'"{general}"', f'"{own}"')
    return json.loads(text)
