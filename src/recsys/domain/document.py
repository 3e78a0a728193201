"""The three kinds of document, one mechanism: immutable content-addressed versions behind a current pointer.

``KINDS`` is the table of kinds. Use cases, storage and routes are written once over a :class:`DocumentRef`; a fourth
kind is a row here, a pair of tables and a schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from recsys.domain import errors
from recsys.domain.canonical import Json, canonicalise, content_hash, parse
from recsys.domain.config import config_faults, config_mistakes
from recsys.domain.diff import differences
from recsys.domain.errors import Fault, InvalidRequest, RecsysError, Unprocessable
from recsys.domain.manifest import manifest_faults
from recsys.domain.quarantine import Quarantine, QuarantinedVersion
from recsys.domain.rules import rules_faults, rules_mistakes, without_envelope
from recsys.domain.validation import MOST_FAULTS

if TYPE_CHECKING:
    from recsys.domain.diff import Difference
    from recsys.domain.tenant import Tenant


@dataclass(frozen=True)
class DocumentKind:
    """What sets one kind of document apart from the others.

    ``faults`` finds what is ill-formed (400) and ``mistakes`` what is wrong in meaning (422); both are timeless and
    know no catalogue. What depends on the time or the catalogue is lint, a warning. ``plain`` gives what may be sent in
    several forms, each a version of its own, the one form in which they are compared.
    """

    name: str
    per_surface: bool
    not_found: type[RecsysError]
    faults: Callable[[Json], Iterator[Fault]]
    mistakes: Callable[[Json], Iterator[Fault]]
    plain: Callable[[Json], Json]

    def compare(self, before: Json, after: Json) -> Iterator[Difference]:
        """Where two documents differ in what they say. Pointers lead into the form of both, else into the plain one."""
        if type(before) is not type(after):
            before, after = self.plain(before), self.plain(after)
        return differences(before, after)

    @property
    def version_field(self) -> str:
        """The field of answers that holds the version, ``config_version`` for example."""
        return f"{self.name}_version"

    def check(self, value: Json) -> None:
        """Refuse a document that is structurally wrong.

        Raises:
            InvalidRequest: ill-formed.
            Unprocessable: well-formed but wrong in meaning.
        """
        if found := list(islice(self.faults(value), MOST_FAULTS)):
            raise InvalidRequest(faults=found)
        if found := list(islice(self.mistakes(value), MOST_FAULTS)):
            raise Unprocessable(faults=found)


def _none(_: Json) -> Iterator[Fault]:
    return iter(())


def _as_sent(value: Json) -> Json:
    return value


CONFIG = DocumentKind("config", False, errors.ConfigNotFound, config_faults, config_mistakes, _as_sent)
RULES = DocumentKind("rules", False, errors.RulesNotFound, rules_faults, rules_mistakes, without_envelope)
MANIFEST = DocumentKind("manifest", True, errors.ManifestNotFound, manifest_faults, _none, _as_sent)
KINDS = {kind.name: kind for kind in (CONFIG, RULES, MANIFEST)}


@dataclass(frozen=True, order=True)
class DocumentRef:
    """One document of a tenant: its kind and, for kinds kept per surface, the surface (else the empty string)."""

    kind_name: str
    surface: str = ""

    @property
    def kind(self) -> DocumentKind:
        """The row of ``KINDS``."""
        return KINDS[self.kind_name]

    def quarantined(self, etag: str, quarantine: Quarantine) -> QuarantinedVersion:
        """A version of this document, with its quarantine."""
        return QuarantinedVersion(
            document=self.kind_name, surface=self.surface or None, version=etag, **msgspec.structs.asdict(quarantine)
        )

    def __str__(self) -> str:
        return f"{self.kind_name}/{self.surface}" if self.surface else self.kind_name


@dataclass(frozen=True)
class CanonicalDocument:
    """A document as it will be stored: its value, its canonical text and the version they make."""

    value: Json
    text: str
    etag: str

    @classmethod
    def read(cls, data: bytes) -> CanonicalDocument:
        """Read a document that somebody sent.

        Raises:
            InvalidJson: what has no canonical form.
        """
        value = parse(data)
        text = canonicalise(value)
        return cls(value, text, content_hash(text))


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a document; ``etag`` is the SHA-256 of its canonical ``text``.

    ``quarantined`` alone can change: whether it was under quarantine when it was read.
    """

    id: str
    etag: str
    text: str
    created_at: datetime
    created_by_sub: str
    comment: str | None = None
    quarantined: Quarantine | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is not stored yet."""

    etag: str
    text: str
    comment: str | None = None


class VersionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A version without its text, for listings. ``current``: the pointer is on it."""

    version: str
    created_at: datetime
    created_by: str
    comment: str | None = None
    current: bool = False
    quarantined: Quarantine | None = None


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """The current version of a document, and at which revision, when and by whom the pointer last moved."""

    version: Version
    revision: int
    updated_at: datetime
    updated_by_sub: str


class Lint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A warning about a document that is valid but may not do what its author expects."""

    code: str
    detail: str
    pointer: str = ""


def check_addressed(ref: DocumentRef, tenant: Tenant, value: Json) -> None:
    """Refuse a manifest that names another tenant or surface than the path it was sent to.

    Raises:
        Unprocessable: naming both.
    """
    if not ref.kind.per_surface or not isinstance(value, dict):
        return
    if value.get("surface") != ref.surface:
        raise Unprocessable(faults=[Fault("/surface", f"This path is for the surface {ref.surface!r}.")])
    if value.get("tenant") not in (tenant.id, tenant.external_id):
        raise Unprocessable(faults=[Fault("/tenant", f"This path is for the tenant {tenant.external_id!r}.")])
