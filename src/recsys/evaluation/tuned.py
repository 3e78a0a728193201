"""What a search found: a candidate of the config document, and a report of everything that was tried."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec

from recsys.evaluation.interval import Interval

if TYPE_CHECKING:
    from recsys.evaluation.search import Trial, Tuned


class TriedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One choice, and the mean and 95 % interval of its metrics."""

    cooc: str
    implicit: str
    algorithm: str
    weights: dict[str, float]
    half_life: float | None
    ndcg: Interval
    recall: Interval


class TuneReport(msgspec.Struct, frozen=True, kw_only=True):
    """Days are UTC dates, both ends included. ``gain``: NDCG of the best less that in force, case by case."""

    tenant: str
    surface: str
    segment: str | None
    predict: str
    train: tuple[str, str]
    validation: tuple[str, str]
    cases: int
    k: int
    current: TriedRow
    best: TriedRow
    gain: Interval
    clearly_better: bool
    tried: list[TriedRow]


def candidate_config(document: dict[str, Any], surface: str, tuned: Tuned) -> dict[str, Any]:
    """The document with what was tuned changed for this surface, and nothing else; itself if nothing was found."""
    before, best = tuned.current.choice, tuned.best.choice
    changed: dict[str, Any] = {}
    if best.algorithm != before.algorithm:
        changed["algorithm"] = best.algorithm
    if best.algorithm == "blend" and best.weights != before.weights:
        changed["weights"] = {name: getattr(best.weights, name) for name in ("pop", "cooc", "emb")}
    if best.half_life != before.half_life:
        changed["anchors"] = {} if best.half_life is None else {"half_life": best.half_life}
    candidate = copy.deepcopy(document)
    if changed:
        candidate["surfaces"] = candidate.get("surfaces") or {}  # null is as good as absent
        candidate["surfaces"].setdefault(surface, {}).update(changed)
    return candidate


def tried_row(trial: Trial) -> TriedRow:
    """A trial as a row of the report."""
    choice = trial.choice
    names = ("pop", "cooc", "emb") if choice.algorithm == "blend" else ()
    return TriedRow(
        cooc=choice.signals.cooc,
        implicit=choice.signals.implicit,
        algorithm=choice.algorithm,
        weights={name: getattr(choice.weights, name) for name in names},
        half_life=choice.half_life,
        ndcg=trial.worth.ndcg,
        recall=trial.worth.recall,
    )


def as_markdown(report: TuneReport) -> str:
    """The report for people, the best first."""
    train, validation = " to ".join(report.train), " to ".join(report.validation)
    lines = [
        f"# Tuning of {report.tenant} / {report.surface}",
        "",
        f"Signals from {train}; what {report.cases:,} {report.predict} did from {validation} was to be predicted.",
        f"{len(report.tried)} choices tried.",
        "",
        _verdict(report),
        "",
        "The best of many looks better here than it is: its figures were chosen for being high.",
        "",
        f"| cooc | implicit | algorithm | weights | half_life | NDCG@{report.k} | Recall@{report.k} | |",
        "|---|---|---|---|---:|---:|---:|---|",
    ]
    ordered = sorted(report.tried, key=lambda row: -row.ndcg[0])
    return "\n".join([*lines, *(_line(row, report) for row in ordered), ""])


def interval_text(interval: Interval) -> str:
    """``0.1234 (0.1200 – 0.1270)``."""
    mean, low, high = interval
    return f"{mean:.4f} ({low:.4f} – {high:.4f})"


def _verdict(report: TuneReport) -> str:
    if report.best == report.current:
        return "Nothing was better than what is in force."
    sure = "The interval lies above 0." if report.clearly_better else "The interval reaches 0: this may be chance."
    return f"The best has {interval_text(report.gain)} more NDCG@{report.k} than what is in force. {sure}"


def _line(row: TriedRow, report: TuneReport) -> str:
    mark = "**best**" if row == report.best else "in force" if row == report.current else ""
    weights = " ".join(f"{name} {value:g}" for name, value in row.weights.items())
    half_life = "" if row.half_life is None else f"{row.half_life:g}"
    return (
        f"| {row.cooc} | {row.implicit} | {row.algorithm} | {weights} | {half_life} | {interval_text(row.ndcg)} "
        f"| {interval_text(row.recall)} | {mark} |"
    )
