"""Where an artifact is and where it comes from: names in a blob store, URIs in manifests, lineage records."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import msgspec
from msgspec import Meta

from recsys.domain.errors import ArtifactIncompatible
from recsys.domain.manifest import ArtifactKind
from recsys.domain.names import SURFACE_PATTERN, UUID_PATTERN, VERSION_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOB_SUFFIX: Final = ".arrow"
RECORD_SUFFIX: Final = ".json"

_SCHEME: Final = "sha256:"
_SHA256: Final = re.compile(VERSION_PATTERN)
_HASH_BLOCK: Final = 1 << 24

Sha256 = Annotated[str, Meta(pattern=VERSION_PATTERN)]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """How an artifact came to be. Kept beside the blob and no part of it: the same signals are the same blob.

    ``input_fingerprint``: a hash of what was read; ``window_start``, ``window_end``: the events of which time count
    (half-open); ``config_hash``: of the settings of the computation; ``engine``: what computed it and its version;
    ``counts``: rows read, items, entries and whatever else is worth knowing.
    """

    input_fingerprint: str
    window_start: datetime | None = None
    window_end: datetime | None = None
    config_hash: str = ""
    code_version: str
    engine: str
    counts: dict[str, int] = {}
    created_at: datetime


class ArtifactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside a blob: which one it is, and where it comes from."""

    tenant_id: str
    surface: str
    kind: ArtifactKind
    sha256: Sha256
    size_bytes: int
    lineage: Lineage


@dataclass(frozen=True, order=True)
class Address:
    """One artifact: whose it is, of which kind, and the SHA-256 of its content (lower-case hex)."""

    tenant_id: str
    surface: str
    kind: ArtifactKind
    sha256: str

    @property
    def uri(self) -> str:
        """What a manifest says. It names content, not a place: one manifest holds for every store."""
        return _SCHEME + self.sha256

    @property
    def blob(self) -> str:
        """The name of the content in a blob store."""
        return self._name(BLOB_SUFFIX)

    @property
    def record(self) -> str:
        """The name of the lineage record in a blob store."""
        return self._name(RECORD_SUFFIX)

    def _name(self, suffix: str) -> str:
        return f"{self.tenant_id}/{self.surface}/{self.kind}/{self.sha256}{suffix}"


def address_of(tenant_id: str, surface: str, kind: ArtifactKind, uri: str) -> Address:
    """Where the artifact is that a manifest of this tenant and surface names.

    Raises:
        ArtifactIncompatible: the URI is not ``sha256:`` and 64 hex digits.
    """
    sha256 = uri.removeprefix(_SCHEME)
    if not uri.startswith(_SCHEME) or not _SHA256.match(sha256):
        raise ArtifactIncompatible(f"{uri[:80]!r} is not the URI of an artifact: {_SCHEME} and 64 lower-case digits.")
    return Address(tenant_id, surface, kind, sha256)


def read_name(name: str) -> tuple[Address, str] | None:
    """The artifact that a name in a blob store belongs to, and the name's suffix; None for a foreign name."""
    parts = name.split("/")
    if len(parts) != 4:
        return None
    sha256, dot, suffix = parts[3].partition(".")
    kinds: dict[str, ArtifactKind] = {kind: kind for kind in get_args(ArtifactKind)}
    known = re.match(UUID_PATTERN, parts[0]) and re.match(SURFACE_PATTERN, parts[1]) and _SHA256.match(sha256)
    if not known or parts[2] not in kinds or dot + suffix not in (BLOB_SUFFIX, RECORD_SUFFIX):
        return None
    return Address(parts[0], parts[1], kinds[parts[2]], sha256), dot + suffix


def hash_content(content: Any) -> str:
    """The SHA-256 that names a content (anything with the buffer protocol), in lower-case hex."""
    digest = hashlib.sha256()
    for block in _blocks(content):
        digest.update(block)
    return digest.hexdigest()


def _blocks(content: Any) -> Iterator[memoryview]:
    """In parts, between which other threads get their turn."""
    with memoryview(content) as whole:
        for at in range(0, len(whole), _HASH_BLOCK):
            with whole[at : at + _HASH_BLOCK] as block:
                yield block
