"""One id per request, in the answer's header and body, in the ledger, the audit log and the log."""

from __future__ import annotations

import itertools
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Takes the caller's ``X-Request-Id`` when it is sane, else makes one of a random prefix and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    def of(self, headers: Mapping[bytes, bytes]) -> str:
        """The id of the request with these headers."""
        sent = headers.get(b"x-request-id")
        if sent is not None and _SANE.fullmatch(sent):
            return sent.decode("ascii")
        return f"{self._prefix}-{next(self._numbers)}"
