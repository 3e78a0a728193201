"""What ``get -o FILE`` notes next to the file, and ``put FILE`` sends as preconditions.

Between the two somebody else may have changed the document; the note is what lets the service notice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from recsys.cli.failure import Failure


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
    """Note what the document in ``file`` is."""
    sidecar_of(file).write_text(json.dumps(asdict(start), indent=2) + "\n", encoding="utf-8")


def read_start(file: Path, tenant_id: str, document: str) -> Start | None:
    """The note about ``file``; None when there is none, or when it is about another tenant or document.

    Raises:
        Failure: the note cannot be read.
    """
    place = sidecar_of(file)
    if not place.exists():
        return None
    try:
        start = Start(**json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise Failure(
            f"{place} cannot be read: {error}", "Remove it, and say what you started from: --if-match"
        ) from None
    return start if (start.tenant_id, start.document) == (tenant_id, document) else None
