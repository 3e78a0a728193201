"""Names of blobs that can lead nowhere else, and the checks that a blob is what its name says."""

from __future__ import annotations

import re
from typing import Final

from recsys.domain.artifact import BLOB_SUFFIX, hash_content
from recsys.domain.errors import ArtifactIncompatible

_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_CONTENT_NAME: Final = re.compile(r"([0-9a-f]{64})" + re.escape(BLOB_SUFFIX))


def check_name(name: str) -> str:
    """Insist on parts of plain letters: no ``..``, nothing absolute, no escapes, no scheme.

    Raises:
        ArtifactIncompatible: for any other name.
    """
    if len(name) > 1_024 or not all(_PART.fullmatch(part) for part in name.split("/")):
        raise ArtifactIncompatible(f"{name[:80]!r} cannot name a blob.")
    return name


def check_prefix(prefix: str) -> str:
    """The same for the beginning of names, which ends with a ``/`` or is empty."""
    if prefix:
        check_name(prefix.removesuffix("/"))
    return prefix


def hash_in(name: str) -> str | None:
    """The SHA-256 that a name promises; None for a name that promises nothing."""
    found = _CONTENT_NAME.fullmatch(name.rpartition("/")[2])
    return found[1] if found else None


def check_content(name: str, content: memoryview) -> None:
    """Insist that a content has the hash that its name promises. Reads all of it: about a second per gigabyte.

    Raises:
        ArtifactIncompatible: it has another.
    """
    promised = hash_in(name)
    if promised is not None and hash_content(content) != promised:
        raise ArtifactIncompatible(f"{name} is damaged: its content does not have the hash that names it.")


def check_size(name: str, size: int, most: int) -> None:
    """Insist that a blob is no larger than is taken.

    Raises:
        ArtifactIncompatible: it is.
    """
    if size > most:
        raise ArtifactIncompatible(f"{name} has {size} bytes; at most {most} are taken (RECSYS_ARTIFACT_MAX_BYTES).")
