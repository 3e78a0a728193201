"""Quarantine: a version known to be bad, which nobody brings back without saying that they mean it."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a version is under quarantine, who put it there and why."""

    at: datetime
    by: str
    reason: str


class QuarantinedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version under quarantine, and of which document; ``surface`` is null for documents that a tenant has once."""

    document: str
    surface: str | None
    version: str
    at: datetime
    by: str
    reason: str

    @property
    def name(self) -> str:
        """The document, as ``str`` of its ``DocumentRef`` says it."""
        return f"{self.document}/{self.surface}" if self.surface else self.document

    def __str__(self) -> str:
        since = self.at.isoformat(timespec="seconds")
        return f"{self.name} version {self.version} is under quarantine since {since} by {self.by}: {self.reason}"
