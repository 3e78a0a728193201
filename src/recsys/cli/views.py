"""How answers look on a screen: with short hashes, so that a row fits a line; ``--json`` has them in full."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from recsys.cli.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

SHORT = 12
_OPS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def short(version: str | None) -> str:
    """The beginning of a version, enough to recognise it and to name it in a command."""
    return version[:SHORT] if version else "–"


def _short(version: str | None) -> str | None:
    """The same for a column: one without any version is left out."""
    return version and short(version)


def moment(text: str | None) -> str:
    """A time as people read it, UTC to the second."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%SZ") if text else ""


def rows(columns: Iterable[str], cells: Iterable[Iterable[object]], empty: str) -> RenderableType:
    """A table, or the sentence ``empty`` when there are no rows."""
    table = Table(tuple(columns), [tuple(map(_cell, row)) for row in cells])
    return table if table.cells else Text(empty)


def facts(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Names and values, one pair a line."""
    shown = [(name.replace("_", " "), _cell(value) or "–") for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    return Group(*(Text.assemble((name.ljust(width), "dim"), "  ", value) for name, value in shown))


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def document(value: object) -> str:
    """A document as people edit it."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def versions(body: dict[str, Any]) -> RenderableType:
    """The answer of ``…/versions``."""
    return rows(
        ("version", "", "created", "by", "comment", "quarantined"),
        (
            (
                short(each["version"]),
                "current" if each["current"] else "",
                moment(each["created_at"]),
                each["created_by"],
                each["comment"],
                why_quarantined(each.get("quarantined")),
            )
            for each in body["versions"]
        ),
        "There is no version yet.",
    )


def why_quarantined(said: dict[str, Any] | None) -> str | None:
    """Why a version is under quarantine, and who says so."""
    return f"{said['reason']} ({said['by']})" if said else None


def quarantined(body: dict[str, Any]) -> RenderableType:
    """The answer of ``/quarantine``."""
    return rows(
        ("document", "version", "since", "by", "reason"),
        (
            (_document(each), short(each["version"]), moment(each["at"]), each["by"], each["reason"])
            for each in body["quarantined"]
        ),
        "Nothing is under quarantine.",
    )


def quarantine(body: dict[str, Any]) -> RenderableType:
    """What became of one version, and whether it was so before."""
    state = "is under quarantine" if body["quarantined"] else "is not under quarantine"
    line = Text(f"{_document(body)} {body['version']} {state}{'' if body['changed'] else ' already'}", "bold")
    why = why_quarantined(body["quarantined"])
    return Group(line, *([Text(why)] if why else []), *map(warning, body["warnings"]))


def _document(each: dict[str, Any]) -> str:
    return f"{each['document']} {each['surface'] or ''}".strip()


def differences(body: dict[str, Any]) -> RenderableType:
    """The answer of ``…/diff``: one line per difference, marked ``+``, ``-`` or ``~``."""
    heading = Text(f"{short(body['from'])} → {short(body['to'])}", style="bold")
    lines = [_difference(each) for each in body["differences"]]
    if more := body["total"] - len(lines):
        lines.append(Text(f"… and {more:,} more"))
    return Group(heading, *(lines or [Text("No difference.")]))


def _difference(each: dict[str, Any]) -> Text:
    sign, style = _OPS[each["op"]]
    sides = [_compact(each[side]) for side in ("before", "after") if side in each]
    return Text(f"{sign} {each['pointer'] or '(whole document)'}: {' → '.join(sides)}", style=style)


def _compact(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:159] + "…"


def history(body: dict[str, Any]) -> RenderableType:
    """The answer of ``/history``: what happened at each revision, and where every pointer stood afterwards."""
    return rows(
        ("rev", "when", "who", "via", "action", "config", "rules", "manifests", "labels", "quarantined", "reason"),
        (
            (
                each["revision"],
                moment(each["occurred_at"]),
                each["actor_sub"],
                each["actor_type"],
                each["action"],
                _short(each["pointers"]["config"]),
                _short(each["pointers"]["rules"]),
                ", ".join(f"{name}={short(to)}" for name, to in sorted(each["pointers"]["manifests"].items())),
                ", ".join(each["labels"]),
                ", ".join(each.get("quarantined", ())),
                each["reason"],
            )
            for each in body["entries"]
        ),
        "Nothing has been changed yet.",
    )


def labelled(entry: dict[str, Any], tenant: str) -> RenderableType:
    """A revision after its labels changed."""
    said = f"is labelled {', '.join(entry['labels'])}" if entry["labels"] else "has no label"
    return Text(f"revision {entry['revision']} of {tenant} {said}")


def audit(body: dict[str, Any]) -> RenderableType:
    """The answer of ``/audit``. The id is what ``rollback --audit-id`` takes."""
    return rows(
        ("id", "when", "who", "via", "action", "entity", "rev", "reason"),
        (
            (
                each["id"],
                moment(each["occurred_at"]),
                each["actor_sub"],
                each["actor_type"],
                each["action"],
                _entity(each),
                each["revision"],
                (each.get("extra") or {}).get("reason"),
            )
            for each in body["entries"]
        ),
        "Nothing is in the audit log.",
    )


def _entity(each: dict[str, Any]) -> str:
    """What an entry is about: a kind and, where there are several of a kind, which."""
    kind, name = each["entity_type"], each["entity_id"]
    return kind if name == kind else f"{kind} {name}"


def tenants(body: dict[str, Any]) -> RenderableType:
    """The answer of ``GET /tenants``."""
    return rows(
        ("external id", "id", "name", "status", "frozen", "revision", "data revision"),
        (
            (
                each["external_id"],
                each["id"],
                each["name"],
                each["status"],
                "frozen" if each["frozen"] else "",
                each["revision"],
                each["data_revision"],
            )
            for each in body["tenants"]
        ),
        "There is no tenant yet: recsys tenant create EXTERNAL_ID",
    )


def tenant(body: dict[str, Any]) -> RenderableType:
    """One tenant."""
    return facts(body.items())


def api_keys(body: dict[str, Any]) -> RenderableType:
    """The answer of ``GET …/api-keys``."""
    return rows(
        ("id", "name", "role", "begins with", "created", "by", "revoked"),
        (
            (
                each["id"],
                each["name"],
                each["role"],
                each["hint"],
                moment(each["created_at"]),
                each["created_by"],
                moment(each.get("revoked_at")),
            )
            for each in body["api_keys"]
        ),
        "There is no key yet: recsys api-key create, with -t TENANT --role ROLE or with --platform",
    )


def loaded(body: dict[str, Any]) -> RenderableType:
    """The answer of a bulk load."""
    return Text(
        f"{body['rows']:,} rows of {body['dataset']} for surface {body['surface']} ({body['mode']}); "
        f"data revision {body['data_revision']}"
    )


def moves(body: dict[str, Any]) -> RenderableType:
    """The answer of a tenant-wide rollback: every document that moved, from where to where."""
    table = rows(
        ("document", "from", "to"),
        (
            (
                _document(each),
                each["from_version"] or "–",
                each["to_version"] or "– (cleared)",
            )
            for each in body["moved"]
        ),
        "Nothing moved: everything is already there.",
    )
    notices = map(warning, body.get("warnings", ()))
    return Group(table, Text(f"revision {body['revision']}", style="bold"), *notices)


def recommendation(body: dict[str, Any], tenant: str) -> RenderableType:
    """The answer of ``/v1/recommend`` for ``tenant``, as asked: the list, what produced it, and the warnings."""
    meta = body["meta"]
    items = rows(
        ("rank", "item", "score", "reasons"),
        (
            (each["rank"], each["item_id"], f"{each['score']:.6f}", ", ".join(each.get("reasons", ())))
            for each in body["items"]
        ),
        "The list is empty.",
    )
    names = ("surface", "segment", "config_version", "rules_version", "manifest_version", "revision", "data_revision")
    served = ("tenant", f"{tenant} ({meta['tenant_id']})")
    produced = facts([served, *((name, meta[name]) for name in names)])
    warnings = [warning(each) for each in body["warnings"]]
    asked = [_why_not(body["explain_item"])] if body.get("explain_item") else []
    return Group(items, *asked, Text(""), produced, *warnings)


def _why_not(said: dict[str, Any]) -> RenderableType:
    """Where one item fell out: ``outcome`` in its own word, then in a sentence."""
    return Text.assemble((f"{said['item_id']}: {said['outcome']}", "bold"), f"  {said['detail']}")


def warning(each: dict[str, Any]) -> RenderableType:
    """One lint warning or notice of an answer."""
    where = f" ({each['pointer']})" if each.get("pointer") else ""
    return Text(f"! {each['code']}: {each['detail']}{where}", style="yellow")
