"""Publish: the computed artifacts, their lineage, then the manifest, through the use case of every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import msgspec

from recsys import __version__
from recsys.control.publish import NewArtifact, point_to, store_artifact
from recsys.domain.artifact import Lineage
from recsys.pipelines.compute import Made, artifact_of

if TYPE_CHECKING:
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
    """Store each artifact with its record, one at a time, then point the manifest to all of them at once.

    Raises:
        TenantNotFound, Frozen, NotReady: nothing that is served has changed.
    """
    uris: dict[ArtifactKind, str] = {}
    for made in release.made:
        content = artifact_of(release.place, release.segment, made.kind).read_bytes()
        artifact = NewArtifact(content, _lineage(made, release))
        uris[made.kind] = await store_artifact(blobs, tenant_id, release.surface, made.kind, artifact)
    outcome = await point_to(store, actor, tenant_id, release.surface, uris)
    pointer = outcome.pointer
    return Published(
        manifest_version=pointer.version.etag if pointer else "",
        revision=pointer.revision if pointer else 0,
        changed=outcome.changed,
        uris={str(kind): uri for kind, uri in uris.items()},
    )


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
