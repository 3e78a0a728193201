"""The manifest document: which artifact holds which signal, for one surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from recsys.domain.errors import Fault
from recsys.domain.names import Surface
from recsys.domain.validation import convert, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recsys.domain.canonical import Json

ArtifactKind = Literal[
    "popularity",
    "cooc",
    "implicit",
    "content_sim",
    "session_seq",
    "session_knn",
    "history",
    "embedding",
    "catalog",
]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest as stored; its time lives with the pointer, so the same signals are the same version."""

    v: Literal[1]
    tenant: Annotated[str, Meta(min_length=1, max_length=128)]
    surface: Surface
    current: dict[ArtifactKind, Annotated[str, Meta(min_length=1, max_length=2_048)]]


def read_manifest(value: Json) -> Manifest:
    """Turn a manifest document into its typed form.

    Raises:
        InvalidRequest: for a document that :func:`manifest_faults` finds fault with.
    """
    return convert(value, Manifest)


def make_manifest(
    current: Manifest | None,
    tenant: str,
    surface: str,
    uris: Mapping[ArtifactKind, str],
    *,
    only: bool = False,
) -> dict[str, Json]:
    """The manifest in which ``uris`` take the places of ``current``'s; ``only``: its other kinds go.

    The tenant stays spelt as it was, so that the same artifacts are the same version.
    """
    kept = current.current if current and not only else {}
    named: dict[str, Json] = {kind: uri for artifacts in (kept, uris) for kind, uri in artifacts.items()}
    return {
        "v": 1,
        "tenant": current.tenant if current else tenant,
        "surface": surface,
        "current": named,
    }


def manifest_faults(value: Json) -> Iterator[Fault]:
    """What is ill-formed about a manifest document."""
    yield from faults(value, Manifest)
