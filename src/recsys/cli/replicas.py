"""``recsys replicas``, and the receipt of a change: who serves, and how far each of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from recsys.cli import views
from recsys.cli.command import Session

if TYPE_CHECKING:
    from rich.console import RenderableType


def replicas(session: Session) -> None:
    """List the serving processes: when each last wrote, and through which time it has followed every change."""
    session.answer(session.api.get("/v1/admin/replicas"), _list)


def receipt(body: dict[str, Any]) -> list[RenderableType]:
    """The receipt in an answer: every replica with the milliseconds it took, whoever does not serve it yet in red."""
    found = body.get("receipt")
    if found is None:
        return []
    served = [each for each in found["replicas"] if each["status"] == "converged"]
    cells = ((_process(each), each["took_ms"]) for each in served)
    lines: list[RenderableType] = [views.rows(("replica", "ms"), cells, "")] if served else []
    late = (each for each in found["replicas"] if each["status"] != "converged")
    lines += [Text(f"{_process(each)}  {_lateness(each)}", "red") for each in late]
    if found["converged"]:
        said = Text(f"{served_by_all(len(served))} within {found['waited_ms']:.0f} ms", "bold")
        return [*lines, said] if served else [Text("No replica is running: whoever starts will serve it.")]
    reason = found.get("reason") or f"not served by all after {found['waited_ms']:.0f} ms"
    return [*lines, Text(f"! {reason} (see: recsys replicas)", "bold red")]


def served_by_all(replicas: int) -> str:
    """What to say when every replica serves something."""
    return "served by the only replica" if replicas == 1 else f"served by all {replicas} replicas"


def _process(replica: dict[str, Any]) -> str:
    return f"{replica['host']}/{replica['pid']} {replica['id'][:8]}"


def _lateness(replica: dict[str, Any]) -> str:
    if replica["status"] == "incompatible":
        return f"incompatible: cannot read {replica['incompatible']}; what it served before stays, if there was any"
    revision = f", at revision {replica['revision']}" if replica["revision"] is not None else ""
    return f"{replica['status']}{revision}, last heard of {replica['heartbeat_age_ms'] / 1_000:.1f} s ago"


def _list(body: dict[str, Any]) -> RenderableType:
    """The answer of ``GET /replicas``; a silent one is waited for until its lease runs out."""
    return views.rows(
        ("replica", "id", "state", "heartbeat", "version", "started", "synced through", "behind or just moved"),
        (
            (
                f"{each['host']}/{each['pid']}",
                each["id"],
                each["status"],
                f"{each['heartbeat_age_ms'] / 1_000:.1f} s ago",
                each["code_version"],
                views.moment(each["started_at"]),
                views.moment(each["synced_through"]),
                ", ".join(f"{name[:8]}@{said['revision']}" for name, said in sorted(each["tenants"].items())),
            )
            for each in body["replicas"]
        ),
        "No replica is running.",
    )
