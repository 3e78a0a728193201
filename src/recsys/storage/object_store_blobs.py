"""Blobs in an S3-compatible store, each read over the network once per host."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from recsys.domain.errors import ArtifactStoreNotReady, NotFound
from recsys.domain.ports import BlobInfo
from recsys.storage.blob_names import check_name, check_prefix, check_size, hash_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.storage.host_cache import HostCache

_log = logging.getLogger(__name__)

_CLIENT: Final[Any] = {
    "allow_http": True,  # for an endpoint that says http://; the others stay with https
    "connect_timeout": timedelta(seconds=5),
    "timeout": timedelta(minutes=15),  # of one download
}
_RETRY: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_UPLOAD_PART: Final = 1 << 24


def open_s3(url: str) -> S3Store:
    """The store ``s3://bucket/prefix``; endpoint, region and credentials come from the usual ``AWS_*`` variables."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/") or None
    return S3Store(parts.netloc, prefix=prefix, client_options=_CLIENT, retry_config=_RETRY)


def client_words(error: BaseError) -> str:
    """What the store's client says of an error, without the dump of its structures."""
    return str(error).partition("\n\nDebug source")[0]


class ObjectStoreBlobStore:
    """The ``BlobStore`` port over an object store; what is named by its hash is kept in a cache of the host."""

    def __init__(self, store: S3Store, cache: HostCache, *, max_bytes: int) -> None:
        self._store = store
        self._cache = cache
        self._max_bytes = max_bytes

    async def put(self, name: str, content: bytes | memoryview) -> None:
        check_size(check_name(name), len(content), self._max_bytes)
        with _asking():
            await obstore.put_async(self._store, name, content, chunk_size=_UPLOAD_PART)

    async def get(self, name: str) -> memoryview:
        sha256 = hash_in(check_name(name))
        if sha256 is None:
            content = b"".join([bytes(part) async for part in self._parts(name)])
            return memoryview(content)
        return await self._cache.get(name, sha256, lambda: self._parts(name))

    async def find(self, name: str) -> BlobInfo | None:
        try:
            with _asking():
                return _info(await obstore.head_async(self._store, check_name(name)))
        except FileNotFoundError:
            return None

    async def list_below(self, prefix: str) -> list[BlobInfo]:
        with _asking():
            listed = obstore.list(self._store, check_prefix(prefix).removesuffix("/") or None)
            found = [_info(meta) async for page in listed for meta in page]
        return sorted(found, key=lambda info: info.name)

    async def forget(self, name: str) -> None:
        if sha256 := hash_in(check_name(name)):
            await self._cache.forget(sha256)

    async def delete(self, name: str) -> None:
        try:
            with _asking():
                await obstore.delete_async(self._store, check_name(name))
        except FileNotFoundError:
            pass

    async def _parts(self, name: str) -> Any:
        """The content in parts. Raises NotFound, NotReady, ArtifactIncompatible."""
        try:
            with _asking():
                found = await obstore.get_async(self._store, name)
                check_size(name, found.meta["size"], self._max_bytes)
                async for part in found.stream(_UPLOAD_PART):
                    yield part
        except FileNotFoundError:
            raise NotFound(f"The artifact store has no {name}.") from None


def _info(meta: Any) -> BlobInfo:
    return BlobInfo(name=meta["path"], size=meta["size"], modified_at=meta["last_modified"])


@contextmanager
def _asking() -> Iterator[None]:
    """What the store's client raises, in the words of the port; FileNotFoundError passes."""
    try:
        yield
    except BaseError as error:
        # The client's words may hold addresses and request ids: they are for the log.
        _log.warning("the artifact store refuses or cannot be reached: %s", client_words(error))
        raise ArtifactStoreNotReady(
            f"The artifact store cannot be used: {type(error).__name__}; the log says more."
        ) from error
