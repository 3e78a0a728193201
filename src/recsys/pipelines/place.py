"""The work directory of one tenant and surface, and how files get there: whole, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.pipelines.errors import PipelineError

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """``staged/``: sources as read; ``events/``: a table per UTC day; below the name of a segment: results, reports.

    ``_scratch/``: what engines have no room for; nobody needs it after the run. ``_lock``: who is at work.
    """

    root: Path

    @classmethod
    def of(cls, work: Path, tenant: str, surface: str) -> Place:
        """The directory of what a run is about, made when it is missing."""
        place = cls(work / tenant / surface)
        place.root.mkdir(parents=True, exist_ok=True)
        return place

    def at(self, *parts: str) -> Path:
        """A path below, its folder made."""
        path = self.root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def alone(self, who: str) -> Iterator[None]:
        """Keep others out, and begin without what a run that was killed had not finished; its lock is gone with it.

        Raises:
            PipelineError: somebody else is at work; it says ``who``.
        """
        with self.at("_lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise PipelineError(
                    f"Another run is at work in {self.root}: {file.read()}.",
                    "Wait until it has ended. Two at a time need two directories: --work DIR",
                ) from None
            file.truncate(0)
            file.write(who)
            file.flush()
            for unfinished in (self.root / "_scratch", *self.root.rglob(".*.part")):
                self.remove(*unfinished.relative_to(self.root).parts)
            yield

    def remove(self, *parts: str) -> None:
        """Forget a file or a folder."""
        path = self.root.joinpath(*parts)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` at the end if nothing went wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield own
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a document, indented, keys in the order given."""
    with replacing(path) as own:
        own.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def read_json(path: Path, type_: type[T]) -> T | None:
    """A document as written; None when there is none, or it is of another program version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write_table(path: Path, table: pa.Table) -> str:
    """Write a table as Parquet, the same bytes for the same rows; returns their SHA-256."""
    with replacing(path) as own:
        pq.write_table(table.combine_chunks(), own, compression="zstd", store_schema=False)
        return file_hash(own)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
