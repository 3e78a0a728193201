"""``pipelines``: how long signals take to compute, how much memory, and whether two runs give the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.figure import Bar, Options, Rounds, Section
from bench.service import directory
from bench.synthetic_events import WINDOW, draw_catalog, draw_vectors, write_days
from recsys.domain.manifest import ArtifactKind
from recsys.pipelines.compute import KINDS, Inputs, compute
from recsys.pipelines.engine import opened
from recsys.pipelines.place import Place
from recsys.pipelines.settings import PipelineSettings

EVENTS, QUICK_EVENTS, SPARK_EVENTS = 10_000_000, 1_000_000, 50_000
ITEMS = 200_000
POPULARITY_S, COOC_S, ALL_S, RSS_GB = 1.0, 25.0, 120.0, 5.0
POPULARITY, COOC, ALL = "popularity", "cooc", "all kinds but ALS"


def measure(options: Options) -> Section:
    """Each set of kinds in a process of its own, from the days' tables on disk to the artifacts on disk."""
    events = QUICK_EVENTS if options.quick else EVENTS
    rounds = Rounds()
    case = f"{events:,} events, {ITEMS:,} items"
    with directory() as path:
        _write(path / "input", events, ITEMS)
        hashes = []
        for number in range(min(2, options.rounds)):
            for name, kinds in ((POPULARITY, [POPULARITY]), (COOC, [COOC]), (ALL, list(KINDS))):
                found = _run(path / "input", path / f"{number}-{name}", "duckdb", kinds)
                rounds.add(case, name, "s", found["seconds"])
                rounds.add(case, f"{name}: peak memory", "GB", found["rss_gb"])
                for kind, seconds in found["kinds"].items() if name == ALL else ():
                    rounds.add(case, f"of these: {kind}", "s", seconds)
                hashes.append(found["hashes"])
        same = all(later == earlier for earlier, later in zip(hashes[:3], hashes[3:], strict=False))
        alike = _engines_agree(path)
    bars = [
        Bar("the same input gives the same bytes twice (1: yes)", float(same), "", at_least=1),
        Bar(f"{SPARK_EVENTS:,} events give the same bytes on DuckDB and Spark (1: yes)", float(alike), "", at_least=1),
    ]
    if not options.quick:
        limits = ((POPULARITY, POPULARITY_S), (COOC, COOC_S), (ALL, ALL_S))
        bars += [Bar(f"{case}: {name}", rounds.median(case, name), "s", at_most=most) for name, most in limits]
        bars.append(Bar(f"{case}: peak memory", rounds.most(case, f"{ALL}: peak memory"), "GB", at_most=RSS_GB))
    what = (
        "Wall time of a process of its own on all cores, from canonical tables to encoded artifacts on disk, start-up "
        "and imports left out. Sessions have a median of 3 items, a mean of 6 and at most 30. What kinds share "
        "(giving items, users and sessions their codes) is counted with the first that needs it."
    )
    return Section("pipelines", what, rounds.figures(), bars)


def _write(path: Path, events: int, items: int) -> None:
    path.mkdir(parents=True)
    write_days(path, events, items)
    pq.write_table(draw_catalog(items), path / "catalog")
    pq.write_table(draw_vectors(items), path / "vectors")


def _engines_agree(path: Path) -> bool:
    _write(path / "small", SPARK_EVENTS, 2_000)
    kinds = [kind for kind in KINDS if kind not in ("catalog", "embedding")]
    found = [_run(path / "small", path / f"small-{engine}", engine, kinds) for engine in ("duckdb", "spark")]
    return bool(found[0]["hashes"] == found[1]["hashes"])


def _run(source: Path, target: Path, engine: str, kinds: list[Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.pipelines", str(source), str(target), engine, ",".join(kinds)]
    done = subprocess.run(command, check=True, capture_output=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def child(source: Path, target: Path, engine_name: Any, kinds: list[ArtifactKind]) -> dict[str, Any]:
    """Compute some kinds, and tell how long each took."""
    catalog = pq.read_table(source / "catalog") if "content_sim" in kinds else None
    vectors = pq.read_table(source / "vectors") if "embedding" in kinds else None
    with opened(engine_name, target / "scratch", PipelineSettings().limits.memory_mb) as engine:
        engine.fetch(engine.rows(pa.table({"imported": [1]})))
    began = perf_counter()
    with opened(engine_name, target / "scratch", PipelineSettings().limits.memory_mb) as engine:
        inputs = Inputs(
            engine=engine, tables=sorted(source.glob("*.parquet")), segment=None, window=WINDOW,
            settings=PipelineSettings(), fingerprints={"events": "e", "catalog": "c", "vectors": "v"},
            catalog=catalog, vectors=vectors,
        )  # fmt: skip
        made = compute(Place(target), inputs, kinds)
        seconds = perf_counter() - began
    return {
        "seconds": seconds,
        "rss_gb": _peak_gb(),
        "kinds": {each.kind: each.seconds for each in made},
        "hashes": {each.kind: each.sha256 for each in made},
    }


def _peak_gb() -> float:
    """The most memory that this process ever had; ``getrusage`` would count its parent's, from before the exec."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    print(json.dumps(child(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4].split(","))))  # type: ignore[arg-type]
