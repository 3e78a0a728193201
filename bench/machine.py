"""What the figures were measured on, and of what."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]


class Circumstances(msgspec.Struct, frozen=True):
    """Machine, software and time. ``uncommitted``: the tree differed from the commit; ``load``: before the run."""

    date: str
    commit: str
    uncommitted: bool
    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    load: float


def circumstances() -> Circumstances:
    """How things stand now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Circumstances(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_git("rev-parse", "HEAD") or "unknown",
        uncommitted=bool(_git("status", "--porcelain", "--", "src", "bench/*.py")),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(memory / 1e9, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=os.getloadavg()[0],
    )


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
