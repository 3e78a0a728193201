"""Several places of raw events as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    from recsys.domain.ports import SourceFile, SourceFiles


class JoinedSources:
    """The files of several sources, each under the label of its source; what two of them name is one file."""

    def __init__(self, sources: Sequence[tuple[str, SourceFiles]]) -> None:
        self._sources = tuple(sources)
        self._listed: dict[str, tuple[SourceFiles, SourceFile]] = {}

    def files(self) -> list[SourceFile]:
        self._listed = {
            _labelled(label, file.name): (source, file) for label, source in self._sources for file in source.files()
        }
        return sorted(msgspec.structs.replace(file, name=name) for name, (_, file) in self._listed.items())

    def left_out(self) -> list[str]:
        return sorted(_labelled(label, name) for label, source in self._sources for name in source.left_out())

    def open(self, file: SourceFile) -> BinaryIO:
        """One of those that ``files`` has listed."""
        source, own = self._listed[file.name]
        return source.open(own)


def _labelled(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name
