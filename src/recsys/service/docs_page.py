"""The OpenAPI document as one plain page: no script, no style sheet and no font from anywhere else.

The usual viewers load megabytes of script from other hosts, which a service inside a closed network cannot reach.
"""

from __future__ import annotations

import json
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
details { border: 1px solid #d5dbe3; border-radius: 6px; margin: .4rem 0; padding: .5rem .8rem; }
summary { cursor: pointer; } code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: #f4f6f9; padding: .8rem; overflow-x: auto; border-radius: 6px; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
@media (prefers-color-scheme: dark) { body { background: #14181f; color: #dde3ea; } pre { background: #1e242d; }
details { border-color: #333c49; } a { color: #8ab4f8; } }
"""


def render(document: dict[str, Any]) -> str:
    """One HTML page: every operation with its parameters, body and answers, then every schema."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>",
        f"<p>{escape(info.get('description', ''))} The same for machines: <a href=openapi.json>openapi.json</a>.</p>",
        *_operations(document),
        "<h2>Schemas</h2>",
        *_schemas(document),
    ]
    return "\n".join(parts)


def _operations(document: dict[str, Any]) -> Iterator[str]:
    found = [
        (operation.get("tags", ["Other"])[0], path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    ]
    found.sort(key=lambda each: (each[0] != "Serving", each[0]))
    for tag, group in groupby(found, key=lambda each: each[0]):
        yield f"<h2>{escape(tag)}</h2>"
        for _, path, method, operation in group:
            yield _operation(path, method, operation)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<details><summary><span class=method>{method.upper()}</span><code>{escape(path)}</code>",
        f"{escape(operation.get('summary', ''))}</summary>",
        f"<p>{escape(operation.get('description', ''))}</p>",
        _parameters(operation.get("parameters", [])),
    ]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body <code>{escape(media_type)}</code>: {_reference(content['schema'])}</p>")
    for status, response in operation.get("responses", {}).items():
        schemas = (_reference(content.get("schema", {})) for content in response.get("content", {}).values())
        parts.append(f"<p>{escape(status)}: {escape(response.get('description', ''))} {' '.join(schemas)}</p>")
    return "\n".join([*parts, "</details>"])


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = [
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}"
        f"{', required' if each.get('required') else ''}</td><td>{escape(each.get('description', ''))}</td></tr>"
        for each in parameters
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _reference(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "items" in schema:
        return f"array of {_reference(schema['items'])}"
    return escape(str(schema.get("type", "")))


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
        yield f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{text}</pre>"
