"""``python -m bench.quality``: Recall@20 and NDCG@20 on the retail data's last four weeks, ours and ``implicit``'s.

No figure is a timing, so the same code gives the same page (ALS and BPR: on the same machine). docs/quality.md has the
protocol.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from bench.implicit_models import Matrix, answers
from recsys.demo.retail import SHIPPED_PARQUET, write_events
from recsys.domain.config import Algorithm, ExcludeConfig, SurfaceSettings, resolve
from recsys.domain.config import Config as ServingConfig
from recsys.domain.subject import SubjectKeys
from recsys.evaluation.holdout import Case, session_cases, split, user_cases
from recsys.evaluation.interval import Interval, bootstrap
from recsys.evaluation.search import Choice, Search
from recsys.evaluation.served import Worth, answer_cases, compose_plain, judge
from recsys.evaluation.tuned import interval_text
from recsys.pipelines.run import Pipeline, Wish
from recsys.pipelines.settings import ImplicitMethod, PipelineSettings
from recsys.pipelines.variants import VariantSignals, read_events, variants
from recsys.pipelines.window import Window
from recsys.serving.snapshot import SignalPart
from recsys.storage.source_folder import SourceFolder

K = 20
TUNED = "RecSys: tuned"
SURFACE = "home"
START, VALIDATION, TEST, END = date(2010, 12, 1), date(2011, 10, 15), date(2011, 11, 12), date(2011, 12, 9)
RESULTS = Path(__file__).parent / "results"
ALL_OF_A_USER = 10_000
SETTINGS = msgspec.structs.replace(
    PipelineSettings(),
    history=msgspec.structs.replace(PipelineSettings().history, events_per_user=ALL_OF_A_USER),
    implicit=msgspec.structs.replace(PipelineSettings().implicit, user_items=50),
)
"""The defaults, but for whole histories, so that nothing that a customer had is answered as new, and for the items that
count of a user: customers are resellers with long lists."""


@dataclass(frozen=True)
class Protocol:
    """One question. ``only_new``: what a customer had before is neither answered nor counted."""

    name: str
    what: str
    owner: str
    only_new: bool = False

    def cases(self, before: pa.Table, after: pa.Table) -> list[Case]:
        """Who is asked about."""
        if self.owner == "session_id":
            return session_cases(before, after)
        return user_cases(before, after, exclude=self.settings().exclude)

    def settings(self) -> SurfaceSettings:
        """The defaults of serving, but for what is excluded."""
        exclude = ExcludeConfig(event_types=["purchase"] if self.only_new else [])
        return resolve(ServingConfig(exclude=exclude), SURFACE)


PROTOCOLS = (
    Protocol(
        "new items",
        "Known customers: which products that they never bought before do they buy in the four weeks?",
        "user_id",
        only_new=True,
    ),
    Protocol("next items", "Known customers: what do they buy in the four weeks, known to them or not?", "user_id"),
    Protocol(
        "rest of the basket",
        "Invoices of the four weeks: given half of the products, which are the others?",
        "session_id",
    ),
)


class Data:
    """The retail events, ingested and canonicalised as any others, and the signals of windows of them."""

    def __init__(self, work: Path) -> None:
        source = work / "in"
        source.mkdir()
        self.catalog = work / "items.ndjson"
        write_events(SHIPPED_PARQUET, source / "events.jsonl", catalog=self.catalog)
        self._work = work / "work"
        pipeline = self._pipeline(START, END, SETTINGS)
        pipeline.ingest(SourceFolder(source))
        pipeline.canonicalise()
        self.place = pipeline.place

    def split(self, cut: date, end: date) -> tuple[pa.Table, pa.Table]:
        """Events before ``cut``, and from it to ``end``."""
        events = read_events(self.place, Window(START, end), None)
        return split(events, datetime.combine(cut, time(tzinfo=UTC)))

    @contextmanager
    def signals(self, cut: date) -> Iterator[VariantSignals]:
        """Signals of all events before a day."""
        pipeline = self._pipeline(START, cut - timedelta(days=1), SETTINGS)
        with pipeline.inputs() as inputs:
            yield VariantSignals(pipeline.place, inputs, SURFACE, variants(SETTINGS))

    def _pipeline(self, start: date, end: date, settings: PipelineSettings) -> Pipeline:
        wish = Wish(
            tenant="retail", tenant_id="00000000-0000-4000-8000-000000000001", surface=SURFACE,
            window=Window(start, end), catalog=self.catalog,
        )  # fmt: skip
        return Pipeline(wish, self._work, settings, SubjectKeys(b"bench"), datetime(2026, 1, 1, tzinfo=UTC))


class Row(msgspec.Struct, frozen=True):
    """What one system's answers are worth: mean, low, high."""

    system: str
    recall: Interval
    ndcg: Interval


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """All systems under one protocol. ``gain``: NDCG of what was tuned less that of ``implicit``'s best."""

    name: str
    what: str
    cases: int
    truth: float
    rows: list[Row]
    tuned: dict[str, Any]
    best_other: str
    gain: Interval


def measure(data: Data, protocol: Protocol) -> Table:
    """Ask every system."""
    cases = protocol.cases(*data.split(TEST, END))
    tuned = _tune(data, protocol)
    with data.signals(TEST) as signals:
        found = dict(_ours(signals, protocol, cases))
        best = found[TUNED] = _ask(signals, tuned.signals, tuned.applied_to(protocol.settings()), cases)
    others = dict(_others(data, protocol, cases))
    leader = max(others, key=lambda name: others[name].ndcg.mean)
    return Table(
        name=protocol.name, what=protocol.what, cases=len(cases),
        truth=sum(len(case.truth) for case in cases) / len(cases),
        rows=[Row(name, worth.recall, worth.ndcg) for name, worth in (found | others).items()],
        tuned=msgspec.to_builtins(tuned), best_other=leader, gain=bootstrap(best.ndcgs - others[leader].ndcgs),
    )  # fmt: skip


def _ours(signals: VariantSignals, protocol: Protocol, cases: list[Case]) -> Iterator[tuple[str, Worth]]:
    first = next(iter(signals))
    modes: list[tuple[str, tuple[str, str], Algorithm]] = [("popularity", first, "popularity")]
    modes += [(f"cooc {name}", (name, first[1]), "cooc") for name in ("count", "cosine", "rp3beta-0.6")]
    if protocol.owner == "user_id":
        repeats = "" if protocol.only_new else "-repeats"
        lists = [f"{method}{repeats}" for method in get_args(ImplicitMethod)]
        modes += [(f"implicit {name}", (first[0], name), "implicit") for name in lists]
    modes += [("content_sim", first, "content_sim"), ("session_seq", first, "session_seq")]
    modes += [("blend, defaults", first, "blend")]
    for title, names, algorithm in modes:
        settings = msgspec.structs.replace(protocol.settings(), algorithm=algorithm)
        yield f"RecSys: {title}", _ask(signals, names, settings, cases)
    without = SignalPart(replace(signals[first], sessions=None))
    yield "RecSys: blend, defaults, no session_knn", _judged(without, protocol.settings(), cases)


def _ask(signals: VariantSignals, names: tuple[str, str], settings: SurfaceSettings, cases: list[Case]) -> Worth:
    return _judged(SignalPart(signals[names]), settings, cases)


def _judged(part: SignalPart, settings: SurfaceSettings, cases: list[Case]) -> Worth:
    return judge(answer_cases(compose_plain(part, settings), cases, K), cases, K)


def _tune(data: Data, protocol: Protocol) -> Choice:
    """What `recsys pipelines tune` chooses, from the four weeks before those that are held out."""
    cases = protocol.cases(*data.split(VALIDATION, TEST - timedelta(days=1)))
    with data.signals(VALIDATION) as signals:
        return Search(signals, protocol.settings(), cases, K).run().best.choice


def _others(data: Data, protocol: Protocol, cases: list[Case]) -> Iterator[tuple[str, Worth]]:
    before, _ = data.split(TEST, END)
    matrix = Matrix(before.filter(pc.field(protocol.owner) != ""), protocol.owner)
    only_new = protocol.only_new or protocol.owner == "session_id"
    for name, found in answers(matrix, cases, K, only_new=only_new):
        yield name, judge(found, cases, K)


def markdown(tables: list[Table]) -> str:
    """The tables, as docs/quality.md quotes them."""
    return "\n".join(["# Quality", ""] + [line for table in tables for line in _lines(table)])


def _lines(table: Table) -> Iterator[str]:
    yield from (
        f"## {table.name}",
        "",
        f"{table.what} {table.cases:,} cases, {table.truth:.1f} items each on average.",
        "",
    )
    yield from (f"| | Recall@{K} | NDCG@{K} |", "|---|---:|---:|")
    for row in table.rows:
        yield f"| {row.system} | {interval_text(row.recall)} | {interval_text(row.ndcg)} |"
    yield ""
    yield f"Tuned: {_choice(table.tuned)}."
    yield f"NDCG@{K} of tuned less that of {table.best_other}: {interval_text(table.gain)}."
    yield ""


def _choice(tuned: dict[str, Any]) -> str:
    mode, (cooc, implicit) = tuned["algorithm"], tuned["signals"]
    parts = {"blend": [f"cooc {cooc}", f"implicit {implicit}"], "cooc": [cooc], "implicit": [implicit]}.get(mode, [])
    if mode == "blend":
        parts.append(" ".join(f"{name} {value:g}" for name, value in tuned["weights"].items()))
    if tuned["half_life"] is not None:
        parts.append(f"half-life of anchors {tuned['half_life']:g}")
    return ", ".join([f"algorithm {mode}", *parts])


@contextmanager
def opened() -> Iterator[Data]:
    """The data, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        yield Data(Path(directory))


def main() -> None:
    """Measure, print the tables, and leave them in ``bench/results``."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality")
    parser.add_argument(
        "--only", choices=[protocol.name for protocol in PROTOCOLS], help="one protocol; nothing is kept"
    )
    only = parser.parse_args().only
    tables = []
    with opened() as data:
        for protocol in PROTOCOLS:
            if only in (None, protocol.name):
                print(f"{protocol.name} …", file=sys.stderr, flush=True)
                tables.append(measure(data, protocol))
    text = markdown(tables)
    if only is None:
        content = msgspec.json.format(msgspec.json.encode(tables)) + b"\n"
        (RESULTS / "quality.json").write_bytes(content)
        (RESULTS / "quality.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
