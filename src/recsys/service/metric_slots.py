"""Numbers in a shared file: one file per worker, one 8-byte slot per number, written with a plain memory store.

A worker's file holds doubles; a sidecar names, line by line, the series that own them. Only the owner writes, under a
lock that the system releases when it dies. The next worker to start takes the file of a dead one over and goes on
counting in it, so counters survive crashes and there are never more files than workers at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import math
import mmap
import os
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Kind = Literal["counter", "gauge", "histogram"]

CAPACITY = 1 << 17
"""Slots per worker: 1 MiB, of which the file system keeps only the pages in use."""

SPILL = 32
"""The first slots take what comes in after the file is full; as many as the widest series has."""


class Series(NamedTuple):
    """One named sequence of slots: a single one for counters and gauges, several for a histogram."""

    kind: Kind
    name: str
    labels: tuple[str, ...]
    width: int


class Reading(NamedTuple):
    """One series of one worker as read at scrape time."""

    worker: str
    alive: bool
    series: Series
    values: tuple[float, ...]


class Slots:
    """This worker's numbers. ``values[slot] += 1`` is all it takes to count."""

    def __init__(self, directory: Path | None, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._directory = directory
        self._slot_of: dict[Series, int] = {}
        self._next = SPILL
        self._file = -1
        self._keys = -1
        self.worker = "0"
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            self.worker = self._take_file(directory)
        self._map = mmap.mmap(self._file, capacity * 8)
        self.values = memoryview(self._map).cast("d")
        self._reset_gauges()

    def slot(self, series: Series) -> int:
        """The first slot of a series, made on first use; 0, the spill, when the file or the disk is full."""
        found = self._slot_of.get(series)
        if found is not None:
            return found
        if self._next + series.width > self.capacity:
            return 0
        if self._keys >= 0 and not self._note(series):
            return 0
        return self._own(series)

    @property
    def spilled(self) -> float:
        """How many observations found no slot."""
        return sum(self.values[:SPILL])

    def readings(self) -> Iterator[Reading]:
        """The numbers of every worker that ever ran in this directory, this one included."""
        for series, slot in list(self._slot_of.items()):
            yield Reading(self.worker, True, series, tuple(self.values[slot : slot + series.width]))
        if self._directory is None:
            return
        for path in sorted(self._directory.glob("worker-*.slots")):
            worker = path.stem.removeprefix("worker-")
            if worker != self.worker:
                yield from _read(path, worker)

    def close(self) -> None:
        """Give the file up for the next worker."""
        self.values.release()
        self._map.close()
        for descriptor in (self._file, self._keys):
            if descriptor >= 0:
                os.close(descriptor)

    def _take_file(self, directory: Path) -> str:
        for number in itertools.count():
            path = directory / f"worker-{number}.slots"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            os.ftruncate(descriptor, self.capacity * 8)
            self._file = descriptor
            self._take_keys(path.with_suffix(".keys"))
            return str(number)
        raise AssertionError  # pragma: no cover - count() does not end

    def _take_keys(self, path: Path) -> None:
        self._keys = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        known = path.read_bytes()
        complete = known[: known.rfind(b"\n") + 1]
        os.ftruncate(self._keys, len(complete))  # a line that its writer did not live to finish
        for series in _parse_keys(complete):
            self._own(series)

    def _note(self, series: Series) -> bool:
        """Write down that the next slots are this series'; False when the disk does not take it."""
        line, size = msgspec.json.encode(series) + b"\n", os.fstat(self._keys).st_size
        try:
            complete = os.write(self._keys, line) == len(line)
        except OSError:
            complete = False
        if not complete:
            os.ftruncate(self._keys, size)  # of a part of a line, the next one would become the end
        return complete

    def _own(self, series: Series) -> int:
        slot = self._slot_of[series] = self._next
        self._next += series.width
        return slot

    def _reset_gauges(self) -> None:
        for series, slot in self._slot_of.items():
            if series.kind == "gauge":
                self.values[slot] = math.nan


def _parse_keys(lines: bytes) -> list[Series]:
    return [msgspec.json.decode(line, type=Series) for line in lines[: lines.rfind(b"\n") + 1].splitlines()]


def _read(path: Path, worker: str) -> Iterator[Reading]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        series = _parse_keys(path.with_suffix(".keys").read_bytes())
        alive = _locked(file.fileno())
        ends = list(itertools.accumulate((each.width for each in series), initial=SPILL))
        numbers = memoryview(file.read(ends[-1] * 8)).cast("d")
        for each, start in zip(series, ends, strict=False):
            if start + each.width <= len(numbers):
                yield Reading(worker, alive, each, tuple(numbers[start : start + each.width]))


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
