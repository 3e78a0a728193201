"""Which core a process runs on, and what it used: Linux's /proc, nothing installed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CORES = sorted(os.sched_getaffinity(0))
GENERATOR_CORE, SERVER_CORE = _CORES[0], _CORES[-1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core; a process started meanwhile stays there for good."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process since it started, in ticks of usually 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process in MB. ``mapped``: files of one directory, shared by all who map them.

    ``private``: what nobody else has, those files aside: a page of a file that only one process has touched so far is
    booked on that process by the kernel, but would not be needed twice. ``pss``: all, shared pages divided by the
    number of processes that have them.
    """

    rss: float
    mapped: float
    private: float
    pss: float


def memory(pid: int, mapped_from: Path) -> Memory:
    """What a process holds, from /proc/<pid>/smaps."""
    sums: Counter[str] = Counter()
    is_mapped = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if " " in name:  # the head of a mapping, its path at the end
            is_mapped = str(mapped_from.resolve()) in line
        elif value.endswith("kB"):
            kilobytes = int(value.split()[0])
            sums[name] += kilobytes
            if is_mapped and name == "Rss":
                sums["mapped"] += kilobytes
            if not is_mapped and name in ("Private_Clean", "Private_Dirty"):
                sums["private"] += kilobytes
    return Memory(*(1024 * sums[name] / 1e6 for name in ("Rss", "mapped", "private", "Pss")))
