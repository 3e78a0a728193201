"""API keys: shown once, stored as a hash."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from recsys.domain.access import Role

KEY_PREFIX = "rsk_"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as stored. ``hint`` is its beginning, enough to recognise it; the key itself is not kept."""

    id: str
    tenant_id: str | None
    name: str
    role: Role
    hint: str
    key_hash: str
    created_at: datetime
    created_by_sub: str
    revoked_at: datetime | None = None


def hash_key(key: str) -> str:
    """SHA-256 of a key, hex. Keys carry 256 random bits, so a slow password hash would add nothing."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
