"""Raw events in an object store: S3 and what speaks its language, or any other that obstore knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

import obstore

from recsys.domain.ports import SourceFile
from recsys.storage.source_folder import SUFFIXES

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class SourceObjects:
    """The objects of a store whose names end like those of a folder's files."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def files(self) -> list[SourceFile]:
        listed = [each for batch in obstore.list(self._store) for each in batch]
        return sorted(
            SourceFile(name=each["path"], size=each["size"], version=each["e_tag"] or str(each["last_modified"]))
            for each in listed
            if each["path"].lower().endswith(SUFFIXES)
        )

    def open(self, file: SourceFile) -> BinaryIO:
        return cast("BinaryIO", obstore.open_reader(self._store, file.name))
