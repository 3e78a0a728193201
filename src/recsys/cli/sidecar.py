"""What ``get -o FILE`` notes next to the file, and ``put FILE`` sends as preconditions.

Between the two somebody else may have changed the document; the note is what lets the service notice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from recsys.cli.failure import Misused
from recsys.cli.source import read_source
from recsys.cli.written import write_file


@dataclass(frozen=True)
class Start:
    """The version and revision that an edit started from, and of which document."""

    tenant_id: str
    document: str
    version: str
    revision: int


def sidecar_of(file: Path) -> Path:
    """Where the note about ``file`` is kept."""
    return file.with_name(file.name + ".start")


def write_start(file: Path, start: Start) -> None:
    """Note what the document in ``file`` is.

    Raises:
        Misused: the note cannot be written.
    """
    write_file(sidecar_of(file), json.dumps(asdict(start), indent=2) + "\n")


def read_start(file: Path, tenant_id: str, document: str) -> Start | None:
    """The note about ``file``; None when there is none, or when it is about another tenant or document.

    Raises:
        Misused: the note cannot be read.
    """
    place = sidecar_of(file)
    if not place.exists():
        return None
    try:
        start = msgspec.json.decode(read_source(place), type=Start)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Misused(
            f"{place} is not what `get -o` writes; nothing was sent.",
            "Remove it, and say what you started from: --if-match",
        ) from None
    return start if (start.tenant_id, start.document) == (tenant_id, document) else None
