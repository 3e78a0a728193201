"""Publish: the computed artifacts, their lineage, then the manifest, through the use case of every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING

import msgspec

from recsys import __version__
from recsys.control.publish import NewArtifact, publish
from recsys.domain.artifact import Lineage
from recsys.domain.canonical import parse
from recsys.domain.manifest import read_manifest
from recsys.pipelines.compute import Made, artifact_of

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.domain.access import Actor
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import BlobStore, ControlStore
    from recsys.pipelines.place import Place
    from recsys.pipelines.window import Window


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the manifest. ``changed``: false when these very artifacts were current already."""

    manifest_version: str
    revision: int
    changed: bool
    uris: dict[str, str]


@dataclass(frozen=True)
class Release:
    """What is to be published: the artifacts ``made`` of a window, as they lie in ``place``."""

    place: Place
    surface: str
    segment: str | None
    window: Window
    made: Sequence[Made]
    now: datetime


async def publish_release(
    store: ControlStore, blobs: BlobStore, actor: Actor, tenant_id: str, release: Release
) -> Published:
    """Publish what was made: each artifact is read from its file as it is stored, and all are current at once.

    Raises:
        TenantNotFound, Frozen, NotReady: nothing that is served has changed.
        ArtifactIncompatible: a kind that was not made and stays is missing in the store.
    """
    artifacts: dict[ArtifactKind, NewArtifact] = {}
    for made in release.made:
        content = _mapped(artifact_of(release.place, release.segment, made.kind))
        artifacts[made.kind] = NewArtifact(content, _lineage(made, release))
    outcome = await publish(store, blobs, actor, tenant_id, release.surface, artifacts)
    pointer = outcome.pointer
    current = read_manifest(parse(pointer.version.text.encode())).current if pointer else {}
    return Published(
        manifest_version=pointer.version.etag if pointer else "",
        revision=pointer.revision if pointer else 0,
        changed=outcome.changed,
        uris={str(kind): uri for kind, uri in current.items() if kind in artifacts},
    )


def _mapped(file: Path) -> memoryview:
    """The pages of a file: all that is made may be more than fits into memory."""
    with file.open("rb") as opened:
        return memoryview(mmap(opened.fileno(), 0, access=ACCESS_READ))


def _lineage(made: Made, release: Release) -> Lineage:
    midnight = time(tzinfo=UTC)
    return Lineage(
        input_fingerprint=made.input_fingerprint,
        window_start=datetime.combine(release.window.start, midnight),
        window_end=datetime.combine(release.window.end + timedelta(days=1), midnight),
        config_hash=made.config_hash,
        code_version=__version__,
        engine=made.engine + (", may differ on another engine or machine" if made.depends_on_engine else ""),
        counts={"rows": made.rows, "items": made.items},
        created_at=release.now,
    )
