"""``build``: how long the parts of a snapshot take: the documents after a change, the signals from their file."""

from __future__ import annotations

from functools import partial
from time import perf_counter

from bench.figure import Bar, Options, Rounds, Section
from bench.prepared import Prepared
from bench.process import SERVER_CORE, pinned
from bench.service import directory
from bench.snapshot import NOW, TENANT, tenant_documents
from bench.synthetic import SURFACE
from bench.tenants import NEIGHBOURS, signals_of
from recsys.serving.snapshot import SignalPart, compose, read_documents

ITEMS = 100_000
SIGNALS_S, DOCUMENTS_MS = 2.0, 20.0
FIRST, LATER = "signals, first open on this host", "signals, later opens"
DOCUMENTS = "documents"


def measure(options: Options) -> Section:
    """Each once per round."""
    rounds = Rounds()
    signals = signals_of(ITEMS, TENANT.id)
    case = f"{ITEMS:,} items × {NEIGHBOURS} neighbours"
    with directory() as path, pinned(SERVER_CORE):
        for number in range(options.rounds):
            cache = path / str(number)
            began = perf_counter()
            Prepared(cache, TENANT.id, signals.data_revision).put(signals)
            rounds.add(case, "write the file", "s", perf_counter() - began)
            _measure_signals(case, Prepared(cache, TENANT.id, signals.data_revision, cache / "marks"), rounds)
            _measure_documents(case, SignalPart(signals), rounds)
    bars = [
        *(Bar(f"{case}: {name}", rounds.median(case, name), "s", at_most=SIGNALS_S) for name in (FIRST, LATER)),
        Bar(f"{case}: {DOCUMENTS}", rounds.median(case, DOCUMENTS), "ms", at_most=DOCUMENTS_MS),
    ]
    what = (
        f"Wall time in this process on core {SERVER_CORE}, the file in the page cache. Signals: from the file until a "
        "snapshot is composed, popularity order included; first: its hash is verified, once per host. Documents: read "
        "config and 50 rules and compose with the signals in memory, after a change. Rows → arrays: see `rank`."
    )
    return Section("build", what, rounds.figures(), bars)


def _measure_signals(case: str, prepared: Prepared, rounds: Rounds) -> None:
    documents = read_documents(tenant_documents())
    put_together = partial(compose, TENANT, documents, previous=None, data_revision=1, now=NOW)
    for name, verify in ((FIRST, True), (LATER, False)):
        began = perf_counter()
        put_together({SURFACE: SignalPart(prepared.open(verify=verify))})
        rounds.add(case, name, "s", perf_counter() - began)


def _measure_documents(case: str, part: SignalPart, rounds: Rounds) -> None:
    put_together = partial(compose, TENANT, parts={SURFACE: part}, previous=None, data_revision=1, now=NOW)
    put_together(read_documents(tenant_documents()))  # the popularity order is kept with the signals
    began = perf_counter()
    put_together(read_documents(tenant_documents()))
    rounds.add(case, DOCUMENTS, "ms", 1e3 * (perf_counter() - began))
