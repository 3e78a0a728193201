"""``python -m bench``: measure, print the tables, and leave them in ``bench/results``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from time import monotonic

from bench import build, change, grow, load, pipelines, propagate, publish, rank, serve, sessions, share, steady
from bench.figure import Options, Section
from bench.machine import circumstances
from bench.report import write

BENCHMARKS: dict[str, Callable[[Options], Section]] = {
    "serve": serve.measure,
    "steady": steady.measure,
    "build": build.measure,
    "grow": grow.measure,
    "share": share.measure,
    "change": change.measure,
    "propagate": propagate.measure,
    "publish": publish.measure,
    "load": load.measure,
    "rank": rank.measure,
    "sessions": sessions.measure,
    "pipelines": pipelines.measure,
}

QUICK = ("serve", "steady", "build")


def main() -> None:
    """Run what was asked for."""
    given = _arguments()
    options = Options(given.seconds, given.rounds, given.connections, given.quick)
    about = circumstances()
    began = monotonic()
    sections = []
    for name in given.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        sections.append(BENCHMARKS[name](options))
    part = "" if given.only == list(BENCHMARKS) else "".join(f"-{name}" for name in given.only)
    name = f"{about.date[:10]}-{about.commit[:7]}{part}"
    print(write(name, about, sections, monotonic() - began))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure RecSys on this machine (Linux).")
    parser.add_argument("--quick", action="store_true", help=f"two minutes: {', '.join(QUICK)} with shorter rounds")
    parser.add_argument("--seconds", type=float, help="how long a round of load lasts (default: 2; quick: 1)")
    parser.add_argument("--rounds", type=int, help="how often each thing is measured (default: 3; quick: 2)")
    parser.add_argument("--connections", type=int, default=32, help="connections of the load generator (default: 32)")
    parser.add_argument(
        "--only", action="append", default=[], choices=BENCHMARKS, metavar="NAME",
        help=f"measure only this, may be repeated: {', '.join(BENCHMARKS)}",
    )  # fmt: skip
    given = parser.parse_args()
    given.seconds = given.seconds or (1 if given.quick else 2)
    given.rounds = given.rounds or (2 if given.quick else 3)
    given.only = given.only or list(QUICK if given.quick else BENCHMARKS)
    return given


if __name__ == "__main__":
    main()
