"""Raw events in an object store: S3 and what speaks its language, or any other that obstore knows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from recsys.domain.ports import SourceFile
from recsys.storage.object_store_blobs import client_words
from recsys.storage.source_folder import is_hidden, is_wanted

if TYPE_CHECKING:
    from typing import BinaryIO

    from obstore import ObjectMeta, ReadableFile
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

_READ_AHEAD = 1 << 20


class SourceObjects:
    """The objects of a store whose names a folder would have."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def files(self) -> list[SourceFile]:
        return sorted(
            SourceFile(name=each["path"], size=each["size"], version=each["e_tag"] or str(each["last_modified"]))
            for each in self._visible()
            if is_wanted(each["path"])
        )

    def left_out(self) -> list[str]:
        return sorted(each["path"] for each in self._visible() if not is_wanted(each["path"]))

    def open(self, file: SourceFile) -> BinaryIO:
        try:
            return io.BufferedReader(_Object(obstore.open_reader(self._store, file.name)), _READ_AHEAD)
        except BaseError as error:
            raise OSError(f"{file.name} cannot be read: {client_words(error)}") from error

    def _visible(self) -> list[ObjectMeta]:
        try:
            listed = [each for batch in obstore.list(self._store) for each in batch]
        except BaseError as error:
            raise OSError(f"The object store cannot be read: {client_words(error)}") from error
        return [each for each in listed if not is_hidden(each["path"])]


class _Object(io.RawIOBase):
    """An object as a file of Python's own kind."""

    def __init__(self, reader: ReadableFile) -> None:
        super().__init__()
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        with memoryview(buffer) as room:
            try:
                content = self._reader.read(len(room)).to_bytes()
            except BaseError as error:
                raise OSError(client_words(error)) from error
            room[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()
