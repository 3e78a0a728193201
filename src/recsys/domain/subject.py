"""Who somebody is in the logs and in what is learnt from them: a keyed hash, so that neither holds a user's name."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.domain.recommend import User

KINDS = ("user_id", "anonymous_id", "session_id")
"""What a subject may be known by, in the order in which :func:`recsys.domain.experiment.subject_of` takes them."""

KEY_BYTES = 16
"""128 bits: among a billion subjects two share a key with a chance of 10⁻²¹, and a line of the log stays short."""


def subject_key(salt: bytes, tenant_id: str, kind: str, identity: str) -> str:
    """32 hex digits: HMAC-SHA256 under ``salt`` of tenant, kind and identity (parted by NUL), the first 128 bits.

    The tenant is in it so that nobody can follow a person from one tenant's log to another's; the kind, so that a
    visitor ``7`` is not the user ``7``.
    """
    digest = hmac.digest(salt, f"{tenant_id}\0{kind}\0{identity}".encode(), hashlib.sha256)
    return digest[:KEY_BYTES].hex()


class SubjectKeys:
    """The keys of subjects under one salt; those asked for lately are remembered, at most ``2 · memory`` of them."""

    def __init__(self, salt: bytes | None = None, memory: int = 50_000) -> None:
        self._salt = salt
        self._memory = memory
        self._recent: dict[tuple[str, str, str], str] = {}
        self._older: dict[tuple[str, str, str], str] = {}

    @property
    def ready(self) -> bool:
        """Whether there is a salt; without one nobody has a key."""
        return self._salt is not None

    def use(self, salt: bytes) -> None:
        """Take the salt once it is known; it stays the same from then on."""
        self._salt = salt

    def of(self, tenant_id: str, user: User) -> str:
        """The key of a request's subject; empty when the request names nobody, or as long as there is no salt."""
        if user.user_id:
            return self.key(tenant_id, "user_id", user.user_id)
        if user.anonymous_id:
            return self.key(tenant_id, "anonymous_id", user.anonymous_id)
        return self.key(tenant_id, "session_id", user.session_id) if user.session_id else ""

    def key(self, tenant_id: str, kind: str, identity: str) -> str:
        """The key of one identity; empty as long as there is no salt."""
        wanted = (tenant_id, kind, identity)
        found = self._recent.get(wanted)
        if found is not None:
            return found
        if self._salt is None:
            return ""
        # Two halves that take turns: what was asked for in neither is forgotten, without a list of who came when.
        found = self._older.get(wanted) or subject_key(self._salt, *wanted)
        if len(self._recent) >= self._memory:
            self._older, self._recent = self._recent, {}
        self._recent[wanted] = found
        return found
