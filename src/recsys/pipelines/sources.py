"""Several places of raw events as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    from recsys.domain.ports import SourceFile, SourceFiles


class JoinedSources:
    """The files of several sources, each under the label of its source."""

    def __init__(self, sources: Mapping[str, SourceFiles]) -> None:
        self._sources = dict(sources)

    def files(self) -> list[SourceFile]:
        return sorted(
            msgspec.structs.replace(file, name=f"{label}/{file.name}")
            for label, source in self._sources.items()
            for file in source.files()
        )

    def open(self, file: SourceFile) -> BinaryIO:
        label = max((label for label in self._sources if file.name.startswith(f"{label}/")), key=len)
        own = msgspec.structs.replace(file, name=file.name[len(label) + 1 :])
        return self._sources[label].open(own)
