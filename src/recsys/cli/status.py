"""``recsys status``: what a tenant is served with, and whether everybody serves the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from recsys.cli import views
from recsys.cli.command import Session
from recsys.cli.document import tenant_path
from recsys.cli.hints import IN_PROCESS
from recsys.cli.options import Tenant
from recsys.cli.replicas import served_by_all

if TYPE_CHECKING:
    from rich.console import RenderableType


def status(session: Session, tenant: Tenant) -> None:
    """Show what is current and what is served, surface by surface, and which replicas have followed."""
    response = session.api.get(f"{tenant_path(tenant)}/status")
    session.answer(response, _show if response.request.url.host != IN_PROCESS else _show_unserved)


def _show_unserved(body: dict[str, Any]) -> RenderableType:
    """The answer of this process, which serves nothing: that is nothing to hold against what is current."""
    surfaces = {
        name: each | {"served": {"manifest_version": each["manifest_version"]}}
        for name, each in body["surfaces"].items()
    }
    return _show(body | {"served": body["current"], "surfaces": surfaces})


def _show(body: dict[str, Any]) -> RenderableType:
    lines: list[RenderableType] = [views.facts(_facts(body)), Text(), _surfaces(body["surfaces"])]
    if body["incompatible"]:
        lines.append(
            Text(
                f"! cannot be served: {body['incompatible']}; what was served before stays, if there was any",
                "bold red",
            )
        )
        lines.append(Text("  the log of the service says why; once it is mended: recsys invalidate"))
    return Group(*lines, _replicas(body["replicas"]))


def _facts(body: dict[str, Any]) -> list[tuple[str, object]]:
    current, served, change = body["current"], body["served"], body["last_change"]
    frozen = ", frozen" if body["frozen"] else ""
    return [
        ("tenant", f"{body['external_id']} ({body['status']}{frozen})"),
        *((name, _against(current[name], served[name])) for name in ("revision", "config_version", "rules_version")),
        ("data_revision", body["data_revision"]),
        ("known_good", body["known_good"]),
        ("quarantined", body["quarantined"]),
        ("last_change", change and _change(change)),
    ]


def _against(current: object, served: object) -> str:
    """What is current and, where that is something else, what is served."""
    return _short(current) if current == served else f"{_short(current)}, served: {_short(served)}"


def _short(value: object) -> str:
    return views.short(value) if value is None or isinstance(value, str) else str(value)


def _change(change: dict[str, Any]) -> str:
    why = f": {change['reason']}" if change["reason"] else ""
    return f"{change['action']} by {change['by']} at {views.moment(change['at'])}{why}"


def _surfaces(surfaces: dict[str, Any]) -> RenderableType:
    return views.rows(
        ("surface", "from", "manifest", "age", "items", "signals"),
        (_surface(name, each, each["served"] or {}) for name, each in surfaces.items()),
        "There is no surface yet.",
    )


def _surface(name: str, each: dict[str, Any], served: dict[str, Any]) -> tuple[object, ...]:
    manifest = _against(each["manifest_version"], served.get("manifest_version"))
    age = each["manifest_age_seconds"]
    return (
        name,
        served.get("data_mode", "nothing" if each["served"] is None else None),
        "" if manifest == views.short(None) else manifest,
        "" if age is None else _duration(age),
        served.get("items"),
        ", ".join(served.get("signals", [])),
    )


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _replicas(found: dict[str, Any]) -> Text:
    if found["converged"] is None:
        return Text("Nobody knows how far the replicas are: the database could not be asked.", "bold red")
    if found["converged"]:
        return Text(served_by_all(found["live"]) if found["live"] else "No replica is running.", "bold")
    late = ", ".join(f"{name[:8]} {verdict}" for name, verdict in found["others"].items())
    known = found["live"] + sum(verdict == "silent" for verdict in found["others"].values())
    return Text(f"! {len(found['others'])} of {known} replicas are not known to serve it: {late}", "bold red")
