"""Preconditions of a change, and the order in which they are judged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from recsys.domain.errors import (
    Fault,
    InvalidRequest,
    PreconditionFailed,
    PreconditionRequired,
    VersionMismatch,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.domain.document import Pointer

_ETAG = re.compile(r'\s*(?:(?:W/)?"([0-9A-Fa-f]{1,128})"|([0-9A-Fa-f]{1,128}))\s*')
ANY = "*"


class Preconditions(msgspec.Struct, frozen=True, kw_only=True):
    """What must still be true for a change to be made.

    ``if_match``: versions, one of which must be current (``*``: any); ``if_revision``: the revision at which the
    pointer must have last moved (0: there is none), which tells A→B→A apart where a hash cannot;
    ``if_none_match``: there must be no current version.
    """

    if_match: frozenset[str] = frozenset()
    if_revision: int | None = None
    if_none_match: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(self.if_match) or self.if_revision is not None or self.if_none_match

    @property
    def name_one_state(self) -> bool:
        """Whether they hold for one version or one revision only, so that they fail once the pointer has moved."""
        return self.if_revision is not None or (len(self.if_match) == 1 and ANY not in self.if_match)


def read_preconditions(if_match: Sequence[str], if_revision: str | None, if_none_match: str | None) -> Preconditions:
    """Read the headers; ``if_match`` holds one string per header line.

    Raises:
        InvalidRequest: a header is malformed.
    """
    if if_none_match is not None and if_none_match.strip() != ANY:
        raise _malformed(
            "If-None-Match",
            if_none_match,
            "Only * is understood: the document must not exist yet.",
        )
    if if_revision is not None and not re.fullmatch(r"\s*[0-9]{1,18}\s*", if_revision):
        raise _malformed(
            "If-Revision",
            if_revision,
            "Send the revision, a whole number, that your GET answered.",
        )
    return Preconditions(
        if_match=frozenset(tag for line in if_match for tag in _etags(line)),
        if_revision=None if if_revision is None else int(if_revision),
        if_none_match=if_none_match is not None,
    )


def judge(
    preconditions: Preconditions,
    current: Pointer | None,
    wanted: str | None,
    *,
    required: bool,
) -> bool:
    """Decide whether a change from ``current`` to the version ``wanted`` (None: cleared) may be made.

    Returns:
        True when the pointer must move; False when it is already where it is wanted, so that a repeated request that
        had succeeded is not a conflict.

    Raises:
        PreconditionRequired: the tenant requires one and none was sent.
        PreconditionFailed: ``If-None-Match: *`` and there is a current version.
        VersionMismatch: the current version is not the one that the caller started from.
    """
    if required and not preconditions.any:
        raise PreconditionRequired
    if preconditions.if_none_match and current is not None:
        raise PreconditionFailed
    if (current.version.etag if current else None) == wanted:
        return False
    if not _holds(preconditions, current):
        raise VersionMismatch(
            current_version=current.version.etag if current else None,
            current_revision=current.revision if current else None,
            updated_by=current.updated_by_sub if current else None,
            updated_at=current.updated_at if current else None,
            detail=_near_miss(preconditions, current),
        )
    return True


def _holds(preconditions: Preconditions, current: Pointer | None) -> bool:
    if preconditions.if_match and (current is None or not {ANY, current.version.etag} & preconditions.if_match):
        return False
    return preconditions.if_revision in (None, current.revision if current else 0)


def _near_miss(preconditions: Preconditions, current: Pointer | None) -> str | None:
    """What to say where nobody was faster: the version is named by its first digits, or only the revision differs."""
    if current is None:
        return None
    etag = current.version.etag
    short = [len(tag) for tag in preconditions.if_match if etag.startswith(tag) and tag != etag]
    if short and etag not in preconditions.if_match:
        return f"If-Match names the current version by {max(short)} of its 64 digits: send all of them."
    if not _holds(msgspec.structs.replace(preconditions, if_revision=None), current):
        return None
    same = "The version is the one you started from, but the" if etag in preconditions.if_match else "The"
    return (
        f"{same} document last moved at revision {current.revision}, and If-Revision says {preconditions.if_revision}. "
        "Read it again and repeat with the revision that GET answers."
    )


def _etags(line: str) -> list[str]:
    if line.strip() == ANY:
        return [ANY]
    found = [_ETAG.fullmatch(part) for part in line.split(",")]
    if not all(found):
        raise _malformed(
            "If-Match",
            line,
            "Send the version as GET's ETag gives it, quoted or bare, or *.",
        )
    return [(match[1] or match[2]).lower() for match in found if match]


def _malformed(header: str, value: str, fix: str) -> InvalidRequest:
    return InvalidRequest(faults=[Fault("", f"{header}: {value[:80]!r} is malformed. {fix}")])
