"""The artifact store that the settings name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recsys.bootstrap.settings import SettingsError, variable
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks

if TYPE_CHECKING:
    from recsys.bootstrap.settings import Settings
    from recsys.domain.ports import BlobStore

DIRECTORY: Final = "recsys-artifacts"
CACHE_DIRECTORY: Final = "recsys-cache"


def open_blobs(settings: Settings, beside: Path) -> BlobStore:
    """The store of ``settings.artifacts``; where none is named, a directory in ``beside``. Nothing is connected yet.

    Raises:
        SettingsError: what it takes to talk to that store is not installed.
    """
    run = Path(settings.run_dir) if settings.run_dir else None
    marks = Marks(run and run / "verified")
    place = settings.artifacts or str(beside / DIRECTORY)
    if not place.startswith("s3://"):
        return LocalBlobStore(Path(place), marks, max_bytes=settings.artifact_max_bytes)
    try:
        from recsys.storage.host_cache import HostCache
        from recsys.storage.object_store_blobs import ObjectStoreBlobStore, open_s3
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f"{variable('artifacts')}: {missing.name} is missing; install what it takes: pip install 'recsys[s3]'"
        ) from None
    cache = HostCache(_cache_directory(settings, beside), marks)
    return ObjectStoreBlobStore(open_s3(place), cache, max_bytes=settings.artifact_max_bytes)


def _cache_directory(settings: Settings, beside: Path) -> Path:
    """Where a service keeps what should outlive it; a process of its own: among the user's temporary files."""
    if settings.cache_dir or settings.run_dir:
        cache = Path(settings.cache_dir) if settings.cache_dir else beside / CACHE_DIRECTORY
        return cache / "artifacts"
    return Path(tempfile.gettempdir()) / f"{DIRECTORY}-{os.getuid()}"
