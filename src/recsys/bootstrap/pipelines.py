"""What the pipelines work with: the database, the artifact store, the sources and the salt that settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.bootstrap.blobs import open_blobs
from recsys.bootstrap.wiring import SystemClock, beside, log_directory
from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.subject import SubjectKeys
from recsys.pipelines.sources import JoinedSources
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from recsys.storage.replica_registry import SqlReplicaRegistry
from recsys.storage.salt import read_salt
from recsys.storage.serving_store import SqlServingStore
from recsys.storage.source_folder import SourceFolder

if TYPE_CHECKING:
    from recsys.bootstrap.settings import Settings
    from recsys.domain.ports import BlobStore, Clock, ControlStore, ReplicaRegistry, ServingStore, SourceFiles


@dataclass(frozen=True)
class PipelineParts:
    """``event_log``: the directory of the service's log. ``keys`` has no salt when there is none."""

    store: ControlStore
    served: ServingStore
    replicas: ReplicaRegistry
    blobs: BlobStore
    keys: SubjectKeys
    event_log: Path
    clock: Clock


@asynccontextmanager
async def pipeline_parts(settings: Settings) -> AsyncIterator[PipelineParts]:
    """Open what the settings name, and close it at the end.

    Raises:
        SettingsError: the artifact store cannot be opened.
        OSError: the salt cannot be read.
    """
    database = open_database(settings.db)
    directory = log_directory(settings, database)
    clock = SystemClock()
    try:
        salt = settings.subject_salt.encode() if settings.subject_salt else read_salt(directory)
        yield PipelineParts(
            store=SqlControlStore(database, clock),
            served=SqlServingStore(database),
            replicas=SqlReplicaRegistry(database),
            blobs=open_blobs(settings, beside(database)),
            keys=SubjectKeys(salt),
            event_log=directory,
            clock=clock,
        )
    finally:
        await database.close()


def open_sources(places: Sequence[str], event_log: Path | None, tenant_id: str, work: Path) -> SourceFiles:
    """The sources at some places (files, folders, ``s3://bucket/prefix``), and a tenant's part of the service's log.

    What the pipelines keep in ``work`` is no source, wherever that is.

    Raises:
        FileNotFoundError: one is not there.
    """
    sources: list[tuple[str, SourceFiles]] = [(_label(place), _open_source(place, work)) for place in places]
    if event_log is not None:
        sources.append(("event-log", SourceFolder(event_log / "events" / tenant_id)))
    return JoinedSources(sources)


async def served_manifest(parts: PipelineParts, tenant_id: str, surface: str) -> str | None:
    """The version of a surface's manifest that is current; None: there is none."""
    async with parts.store.reading() as reader:
        pointer = await reader.pointer(tenant_id, DocumentRef(MANIFEST.name, surface))
    return pointer.version.etag if pointer else None


async def known_surfaces(parts: PipelineParts, tenant_id: str) -> frozenset[str]:
    """The surfaces of a tenant that have a manifest now, or for which rows were ever loaded."""
    manifests = (await parts.served.documents(tenant_id)).pointers.manifests
    heads = [head for head in (await parts.served.overview()).heads if head.tenant.id == tenant_id]
    return frozenset(manifests).union(*(head.surfaces for head in heads))


def _label(place: str) -> str:
    """What stands before the names of the files there: the place or, of a single file, the folder that it is in."""
    path = Path(place)
    if place.startswith("s3://") or path.is_dir():
        return place.rstrip("/")
    return "" if path.parent == Path() else str(path.parent)


def _open_source(place: str, work: Path) -> SourceFiles:
    if not place.startswith("s3://"):
        return SourceFolder(Path(place), work)
    from recsys.storage.object_store_blobs import open_s3
    from recsys.storage.source_objects import SourceObjects

    return SourceObjects(open_s3(place))
