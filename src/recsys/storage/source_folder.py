"""Raw events in a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recsys.domain.ports import SourceFile

if TYPE_CHECKING:
    from typing import BinaryIO

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".parquet")


def is_wanted(name: str) -> bool:
    """Whether a file holds events, by its name; hidden ones, and what is in hidden folders, do not."""
    return name.lower().endswith(SUFFIXES) and not any(part.startswith(".") for part in name.split("/"))


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
        found = [self._only] if self._only else [path for path in self._root.rglob("*") if self._counts(path)]
        return sorted(self._described(path) for path in found)

    def open(self, file: SourceFile) -> BinaryIO:
        return (self._root / file.name).open("rb")

    def _counts(self, path: Path) -> bool:
        if self._without is not None and path.resolve().is_relative_to(self._without):
            return False
        return is_wanted(path.relative_to(self._root).as_posix()) and path.is_file()

    def _described(self, path: Path) -> SourceFile:
        stat = path.stat()
        return SourceFile(
            name=path.relative_to(self._root).as_posix(), size=stat.st_size, version=str(stat.st_mtime_ns)
        )
