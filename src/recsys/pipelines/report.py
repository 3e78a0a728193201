"""The report of a run, as JSON and as one HTML page that needs nothing else."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

import msgspec

from recsys.pipelines.compute import Made, segment_folder
from recsys.pipelines.gates import Gate
from recsys.pipelines.place import Place, replacing, write_json
from recsys.pipelines.plots import bars, ranks
from recsys.pipelines.publish import Published
from recsys.pipelines.validate import Validation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. ``coverage``: of the items that have events or stand in the catalog, the share in each kind.

    ``refused``: why nothing was published though it was tried; ``new_surface``: nothing was there before this run.
    """

    tenant: str
    surface: str
    segment: str | None
    start: str
    end: str
    engine: str
    code_version: str
    started_at: datetime
    ended_at: datetime
    dry_run: bool
    validation: Validation
    made: list[Made]
    coverage: dict[str, float]
    published: Published | None
    refused: str | None = None
    new_surface: bool = False


NOTHING_PUBLISHED = "Nothing was published:"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733;background:#fff}
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e3e8ee;vertical-align:top}
.number{text-align:right;font-variant-numeric:tabular-nums}.ok{color:#0a6b3d}.bad{color:#b3261e;font-weight:600}
small,.quiet{color:#5b6b7b}svg{width:100%;height:auto;overflow:visible}code{font-size:.85em;word-break:break-all}
@media(prefers-color-scheme:dark){body{background:#11181f;color:#dde5ec}td,th{border-color:#2a3641}
.ok{color:#57c793}.bad{color:#ff8a80}small,.quiet{color:#93a3b1}}
"""


def write_report(place: Place, report: Report) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.html``; gives their paths."""
    folder = segment_folder(report.segment)
    as_json, as_page = place.at(folder, "report.json"), place.at(folder, "report.html")
    write_json(as_json, report)
    with replacing(as_page) as own:
        own.write_text(page(report), encoding="utf-8")
    return as_json, as_page


def page(report: Report) -> str:
    """The report as HTML."""
    validation = report.validation
    title = f"Pipeline run: {report.tenant} · {report.surface}" + (f" · {report.segment}" if report.segment else "")
    about = f"{report.start} to {report.end}, {report.engine}, RecSys {report.code_version}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f'<h1>{escape(title)}</h1><p class="quiet">{escape(about)}</p>{_outcome(report)}',
        "<h2>Gates</h2>",
        _table(("gate", "", "what was found"), (_gate_row(gate) for gate in validation.gates)),
        "<h2>Events per day</h2>",
        bars(list(validation.volume.items())),
        "<h2>What was read</h2>",
        _table(("", "records"), _read_rows(validation)),
        "<h2>Signals</h2>",
        _table(("kind", "rows", "items", "bytes", "seconds", "SHA-256"), (_made_row(made) for made in report.made)),
        "<h2>Coverage</h2>",
        "<p class=quiet>Of the items that have events or stand in the catalog, the share in each kind.</p>",
        ranks([(kind, share, f"{share:.1%}") for kind, share in report.coverage.items()]),
        "<h2>Most frequent items</h2>",
        ranks([(item, count, f"{count:,}") for item, count in validation.top_items]),
        *_drift(validation),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _outcome(report: Report) -> str:
    if report.published:
        what = "Published" if report.published.changed else "The same artifacts are current already"
        version = escape(report.published.manifest_version)
        new = f" {escape(report.surface)} is a new surface." if report.new_surface else ""
        return f'<p class="ok">{what}: manifest <code>{version}</code>, revision {report.published.revision}.{new}</p>'
    if not report.validation.passed:
        return '<p class="bad">Nothing was published: a gate failed.</p>'
    if report.dry_run:
        return "<p>Nothing was published: this was a dry run.</p>"
    why = report.refused or "the run ended before that; standard error and the log say why."
    return f'<p class="bad">{escape(NOTHING_PUBLISHED)} {escape(why.removeprefix(NOTHING_PUBLISHED).strip())}</p>'


def _drift(validation: Validation) -> Iterable[str]:
    if validation.drift is None:
        return
    yield "<h2>Drift since the run before</h2>"
    yield f"<p>Total variation distance of the items' shares of events: {validation.drift:.3f}.</p>"
    yield ranks([(item, abs(now - then), f"{then:.2%} → {now:.2%}") for item, now, then in validation.drifted])


def _gate_row(gate: Gate) -> tuple[str, ...]:
    mark = '<span class="ok">passed</span>' if gate.passed else '<span class="bad">failed</span>'
    rows = "".join(f"<br><small>{escape(row)}</small>" for row in (() if gate.passed else gate.rows))
    return escape(gate.name), mark, escape(gate.detail) + rows


def _read_rows(validation: Validation) -> Iterable[tuple[str, ...]]:
    counts = {
        "good": validation.read, "of other surfaces": validation.elsewhere, "late": validation.late,
        "out of order": validation.out_of_order, "duplicates, set aside": validation.duplicates,
        **{f"{reason}, set aside": count for reason, count in validation.set_aside.items()},
    }  # fmt: skip
    for name, count in counts.items():
        yield escape(name), f'<span class="number">{count:,}</span>'


def _made_row(made: Made) -> tuple[str, ...]:
    numbers = (f"{made.rows:,}", f"{made.items:,}", f"{made.bytes:,}", f"{made.seconds:.1f}")
    return escape(made.kind), *numbers, f"<code>{made.sha256[:16]}</code>"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    header = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
