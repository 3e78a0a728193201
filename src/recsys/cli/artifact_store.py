"""The artifact store as commands use it: the one that the service of ``--url`` or the database of ``--db`` uses."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from recsys import __version__
from recsys.cli.database import sqlite_file
from recsys.cli.failure import Failure, Misused
from recsys.control.collect_garbage import find_stored
from recsys.control.publish import NewArtifact, store_artifact
from recsys.domain.artifact import Lineage, hash_content
from recsys.domain.errors import NotFound, RecsysError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.control.collect_garbage import Stored
    from recsys.domain.artifact import Address
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import BlobStore

_VARIABLE: Final = "RECSYS_ARTIFACTS"
_WHERE: Final = (
    f"A service does not say where it keeps them: {_VARIABLE} names the store that it uses, for example:",
    f"export {_VARIABLE}=/srv/recsys/recsys-artifacts    or    export {_VARIABLE}=s3://bucket/prefix",
    "With --db instead of --url: the store beside that database.",
)


def open_blobs(db: str | None) -> BlobStore:
    """The store that the environment names, else the one beside a database.

    Raises:
        Misused: what is named cannot be one, or nothing is: a service elsewhere does not say where its artifacts are.
    """
    from recsys.bootstrap.blobs import open_blobs as open_
    from recsys.bootstrap.settings import Settings, SettingsError

    if db is None and not os.environ.get(_VARIABLE):
        raise Misused("Where are the artifacts?", *_WHERE)
    try:
        settings = Settings.from_environment(os.environ, db=db)
        file = sqlite_file(db) if db else None
        return open_(settings, file.parent if file else Path())
    except SettingsError as error:
        raise Misused(str(error), "All settings are in docs/settings.md") from None


@contextmanager
def store_errors() -> Iterator[None]:
    """What the store refuses, as a failure of the command."""
    try:
        yield
    except RecsysError as error:
        raise Failure(error.detail) from None


@dataclass(frozen=True)
class Store:
    """A blob store, asked from a command. What it refuses is a ``Failure``."""

    blobs: BlobStore

    def list_surface(self, tenant_id: str, surface: str) -> list[Stored]:
        """What is stored for a surface."""
        with store_errors():
            return asyncio.run(find_stored(self.blobs, tenant_id, surface))

    def record(self, address: Address) -> dict[str, Any] | None:
        """Where an artifact comes from; None when nobody wrote it down."""
        with store_errors():
            try:
                record: dict[str, Any] = msgspec.json.decode(asyncio.run(self.blobs.get(address.record)))
            except NotFound:
                return None
            return record

    def check(self, address: Address) -> int:
        """Read an artifact, checking all of it; how many rows it has in long form."""
        with store_errors():
            return _rows(address.kind, asyncio.run(self.blobs.get(address.blob)))

    def put(self, tenant_id: str, surface: str, kind: ArtifactKind, content: memoryview, *, source: str) -> str:
        """Check an artifact and store it, with a record of its own; its URI."""
        with store_errors():
            lineage = Lineage(
                input_fingerprint=hash_content(content),
                code_version=__version__,
                engine=f"file {source}",
                counts={"rows": _rows(kind, content)},
                created_at=datetime.now(UTC),
            )
            artifact = NewArtifact(content, lineage)
            return asyncio.run(store_artifact(self.blobs, tenant_id, surface, kind, artifact))


def _rows(kind: ArtifactKind, content: memoryview) -> int:
    try:
        from recsys.artifacts.codec import decode
    except ModuleNotFoundError as missing:
        raise Failure(f"{missing.name} is missing.", "Install what it takes: pip install 'recsys[artifacts]'") from None
    rows: int = decode(kind, content).to_table().num_rows
    return rows
