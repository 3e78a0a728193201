"""How a receipt looks: a line per replica, and in red who does not serve the change."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from recsys.cli.replicas import receipt


def shown(converged: bool, *replicas: dict[str, Any], reason: str | None = None) -> str:
    console = Console(width=200, force_terminal=True, color_system="standard", record=True, markup=False, emoji=False)
    answer = {"converged": converged, "waited_ms": 12.3, "replicas": list(replicas), "reason": reason}
    with console.capture() as capture:
        console.print(*receipt({"receipt": answer}), sep="\n")
    return capture.get()


def replica(pid: int, status: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "11111111-1111", "host": "h", "pid": pid, "status": status, "revision": None, "took_ms": None,
        "heartbeat_age_ms": 20.0, "incompatible": None, **fields,
    }  # fmt: skip


RED = "\x1b[31m"


def test_all_serve_it() -> None:
    text = shown(True, replica(1, "converged", took_ms=4.5), replica(2, "converged", took_ms=9.0))
    assert "h/1 11111111" in text
    assert "9.0" in text
    assert "served by all 2 replicas within 12 ms" in text
    assert RED not in text


def test_the_only_one_serves_it() -> None:
    assert "served by the only replica within 12 ms" in shown(True, replica(1, "converged", took_ms=4.5))


def test_laggards_are_red_with_what_is_known_of_them() -> None:
    text = shown(
        False,
        replica(1, "converged", took_ms=4.5),
        replica(2, "silent", heartbeat_age_ms=30_400.0),
        replica(3, "incompatible", incompatible="config"),
        replica(4, "behind", revision=7),
    )
    red = [line for line in text.splitlines() if RED in line]
    assert [name in line for name, line in zip(("h/2", "h/3", "h/4"), red, strict=True)] == [True] * 3
    assert "silent, last heard of 30.4 s ago" in red[0]
    assert "cannot read config; what it served before stays, if there was any" in red[1]
    assert "behind, at revision 7" in red[2]
    assert "not served by all after 12 ms" in text


def test_nobody_runs_or_nobody_knows() -> None:
    assert "No replica is running" in shown(True)
    assert "! The database is gone" in shown(False, reason="The database is gone")
    assert receipt({"changed": True}) == []
