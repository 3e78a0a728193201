"""Raw events in a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsys.domain.ports import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")


def is_wanted(name: str) -> bool:
    """Whether a file holds events, by its ending."""
    return name.lower().endswith(SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a file is nobody's business: it is hidden, or in a hidden folder."""
    return any(part.startswith(".") for part in name.split("/"))


class SourceFolder:
    """The files of a folder and of the folders in it, or a single file. Hidden ones are left out, and ``without``.

    Raises:
        FileNotFoundError: there is no such folder or file.
    """

    def __init__(self, path: Path, without: Path | None = None) -> None:
        if not path.exists():
            raise FileNotFoundError(f"There is no {path}.")
        self._root = path if path.is_dir() else path.parent
        self._only = None if path.is_dir() else path
        self._without = without.resolve() if without is not None else None

    def files(self) -> list[SourceFile]:
        found = [self._only] if self._only else [path for path in self._visible() if is_wanted(path.name)]
        return sorted(self._described(path) for path in found)

    def left_out(self) -> list[str]:
        found = [] if self._only else [path for path in self._visible() if not is_wanted(path.name)]
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def open(self, file: SourceFile) -> BinaryIO:
        return (self._root / file.name).open("rb")

    def _visible(self) -> Iterator[Path]:
        for path in self._root.rglob("*"):
            if is_hidden(path.relative_to(self._root).as_posix()) or not path.is_file():
                continue
            if self._without is None or not path.resolve().is_relative_to(self._without):
                yield path

    def _described(self, path: Path) -> SourceFile:
        stat = path.stat()
        return SourceFile(
            name=path.relative_to(self._root).as_posix(), size=stat.st_size, version=str(stat.st_mtime_ns)
        )
