"""Headers in which people say why."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from recsys.domain.errors import Fault, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANGE_REASON = "X-Change-Reason"
OVERRIDE_QUARANTINE = "X-Override-Quarantine"
MAX_REASON = 1_000


def read_reason(headers: Mapping[bytes, bytes], name: str) -> str | None:
    """What the header ``name`` says, without the space around it; None when it was not sent.

    Raises:
        InvalidRequest: it is not UTF-8, is too long or has control characters.
    """
    sent = headers.get(name.lower().encode("ascii"))
    if sent is None:
        return None
    try:
        reason = sent.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise bad_reason(name, "must be UTF-8") from None
    if len(reason) > MAX_REASON:
        raise bad_reason(name, f"has at most {MAX_REASON} characters, got {len(reason)}")
    if any(unicodedata.category(character) == "Cc" for character in reason):
        raise bad_reason(name, "has no control characters")
    return reason


def bad_reason(name: str, rule: str) -> InvalidRequest:
    """The error that says what the header ``name`` must be like."""
    return InvalidRequest(faults=[Fault("", f"{name} {rule}.")])
