"""``recsys items load``, ``recsys signals load`` and ``recsys invalidate``: bulk data in, and a fresh look at it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from recsys.cli import views
from recsys.cli.command import Session, register
from recsys.cli.connection import LOAD_TIMEOUT_S
from recsys.cli.document import tenant_path
from recsys.cli.failure import Misused
from recsys.cli.options import Source, Surface, Tenant
from recsys.cli.replicas import receipt
from recsys.cli.source import read_source

NDJSON, CSV = "application/x-ndjson", "text/csv"
_TYPES = {".ndjson": NDJSON, ".jsonl": NDJSON, ".csv": CSV}


class Signal(StrEnum):
    """The signals that can be loaded."""

    POPULARITY = "popularity"
    COOC = "cooc"


class Mode(StrEnum):
    """Add to what is there, or take its place."""

    UPSERT = "upsert"
    REPLACE = "replace"


class Format(StrEnum):
    """How a file is written."""

    NDJSON = "ndjson"
    CSV = "csv"


class Target(StrEnum):
    """What replicas can be told to read again."""

    CONFIG = "config"
    RULES = "rules"
    POPULARITY = "popularity"


LoadMode = Annotated[Mode, typer.Option("--mode", help="Add to the rows of the surface, or replace them all.")]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="With --mode replace: a file without rows removes all rows.")
]
LoadFormat = Annotated[Format | None, typer.Option("--format", help="Default: what the file's name says.")]


def items_group() -> typer.Typer:
    """The commands about items."""
    app = typer.Typer(no_args_is_help=True, help="The items of a surface.")
    register(app, "load", load_items)
    return app


def signals_group() -> typer.Typer:
    """The commands about signals."""
    app = typer.Typer(no_args_is_help=True, help="The signals of a surface: popularity, and cooc (co-visitation).")
    register(app, "load", load_signal)
    return app


def load_items(
    session: Session,
    tenant: Tenant,
    surface: Surface,
    file: Source,
    *,
    mode: LoadMode = Mode.UPSERT,
    allow_empty: AllowEmpty = False,
    format_: LoadFormat = None,
) -> None:
    """Load items from NDJSON or CSV. The whole file is checked first; with a fault in it nothing is written."""
    _load(session, f"{tenant_path(tenant)}/items", file, _params(surface, mode, allow_empty=allow_empty), format_)


def load_signal(
    session: Session,
    tenant: Tenant,
    surface: Surface,
    signal: Annotated[Signal, typer.Argument(help="Which signal.")],
    file: Source,
    *,
    mode: LoadMode = Mode.UPSERT,
    allow_empty: AllowEmpty = False,
    format_: LoadFormat = None,
) -> None:
    """Load a signal from NDJSON or CSV. The whole file is checked first; with a fault in it nothing is written."""
    params = _params(surface, mode, allow_empty=allow_empty)
    _load(session, f"{tenant_path(tenant)}/signals/{signal}", file, params, format_)


def invalidate(
    session: Session,
    tenant: Tenant,
    target: Annotated[list[Target] | None, typer.Option("--target", help="What to read again; default: all.")] = None,
    surface: Annotated[str | None, typer.Option("--surface", "-s", metavar="SURFACE", help="Only this one.")] = None,
) -> None:
    """Make every replica read a tenant's state again, now."""
    body = {"targets": list(target or Target)} | ({} if surface is None else {"surface": surface})
    session.answer(
        session.api.request("POST", f"{tenant_path(tenant)}/cache/invalidate", json=body),
        lambda answer: Group(
            Text(f"{answer['status']}: {', '.join(answer['targets'])} (event {answer['event_id']})"),
            *receipt(answer),
        ),
    )


def _params(surface: str, mode: Mode, *, allow_empty: bool) -> dict[str, object]:
    params: dict[str, object] = {"surface": surface, "mode": mode}
    return params | {"allow_empty": "true"} if allow_empty else params


def _load(session: Session, path: str, file: Path, params: dict[str, object], format_: Format | None) -> None:
    content_type = _TYPES.get(file.suffix.lower() if format_ is None else f".{format_}")
    if content_type is None:
        raise Misused(f"The name {file} does not say how it is written.", "Say so: --format ndjson or --format csv")
    content = read_source(file)
    response = session.api.request(
        "PUT", path, params=params, content=content, headers={"Content-Type": content_type}, timeout_s=LOAD_TIMEOUT_S
    )
    session.answer(response, views.loaded)
