"""The options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated

import typer

Tenant = Annotated[
    str,
    typer.Option("--tenant", "-t", envvar="RECSYS_TENANT", metavar="TENANT", help="External id or UUID of the tenant."),
]
Surface = Annotated[str, typer.Option("--surface", "-s", metavar="SURFACE", help="The surface, `home` for example.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many entries.")]
Reason = Annotated[
    str | None, typer.Option("--reason", "-m", metavar="TEXT", help="Why; goes into ledger and audit log.")
]
OverrideQuarantine = Annotated[
    str | None,
    typer.Option(
        "--override-quarantine", metavar="TEXT", help="Why, though it is under quarantine; goes into the audit log."
    ),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Do not wait until every replica serves it, and so without a receipt.")
]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="The file to send; `-` reads standard input.")]


def require_one_line(option: str, value: str) -> None:
    """Refuse what cannot go into a header, before anything is sent.

    Raises:
        BadParameter: the value of ``option`` has a line break or another control character.
    """
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise typer.BadParameter(f"{option} must be one line without control characters; nothing was sent.")
