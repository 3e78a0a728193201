"""Figures as JSON for programs and as a Markdown table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.figure import Bar, Figure, Section
from bench.machine import Circumstances

RESULTS = Path(__file__).parent / "results"


def write(name: str, about: Circumstances, sections: Sequence[Section], seconds: float) -> str:
    """Write both files; the Markdown, to be printed."""
    text = markdown(about, sections, seconds)
    value = {
        "circumstances": about,
        "seconds": round(seconds, 1),
        "bars": [_bar(bar) for section in sections for bar in section.bars],
        "sections": [_section(section) for section in sections],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def _bar(bar: Bar) -> dict[str, object]:
    limits = {"at_least": bar.at_least, "at_most": bar.at_most}
    return {"what": bar.what, "measured": bar.measured, "unit": bar.unit, **limits, "met": bar.met}


def _section(section: Section) -> dict[str, object]:
    figures = [
        {
            "case": each.case,
            "measure": each.measure,
            "unit": each.unit,
            "min": min(each.rounds),
            "median": each.median,
            "max": max(each.rounds),
            "rounds": each.rounds,
        }
        for each in section.figures
    ]
    return {"name": section.name, "what": section.what, "figures": figures}


def markdown(about: Circumstances, sections: Sequence[Section], seconds: float) -> str:
    """A page with one table per section: cases across, measures down."""
    lines = [
        f"# Benchmark, {about.date[:10]}",
        "",
        _machine(about, seconds),
        "",
        *_bars([bar for section in sections for bar in section.bars]),
        "Each figure: median (min – max) over the rounds. Ratios matter; absolute figures drift with the machine.",
    ]
    for section in sections:
        lines += ["", f"## {section.name}", "", section.what, "", *_table(section.figures), "", _noise(section.figures)]
    return "\n".join([*lines, ""])


def _machine(about: Circumstances, seconds: float) -> str:
    changed = " with uncommitted changes" if about.uncommitted else ""
    facts = [
        f"{about.cpu}, {about.cores} cores, {about.memory_gb} GB",
        about.system,
        about.python,
        f"commit {about.commit[:10]}{changed}",
        f"load average before the run {about.load:.2f}",
        f"took {seconds:.0f} s",
    ]
    return " · ".join(facts)


def _bars(bars: Sequence[Bar]) -> Iterator[str]:
    """What is asked for beside what this run measured."""
    if not bars:
        return
    yield from ("## bars", "", "| asked for | limit | measured | met |", "|---|---:|---:|---|")
    for bar in bars:
        limit = f"≥ {bar.at_least:g}" if bar.at_least is not None else f"≤ {bar.at_most:g}"
        unit = f" {bar.unit}" if bar.unit else ""
        yield f"| {bar.what} | {limit}{unit} | {_number(bar.measured)}{unit} | {'yes' if bar.met else '**no**'} |"
    yield ""


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    cases = list(dict.fromkeys(each.case for each in figures))
    measures = list(dict.fromkeys((each.measure, each.unit) for each in figures))
    cells = {(each.case, each.measure): _cell(each) for each in figures}
    yield f"| | {' | '.join(', '.join(filter(None, names)) for names in measures)} |"
    yield "|---|" + "---:|" * len(measures)
    for case in cases:
        yield f"| {case} | {' | '.join(cells.get((case, measure), '') for measure, _ in measures)} |"


def _cell(figure: Figure) -> str:
    low, high = min(figure.rounds), max(figure.rounds)
    if low == high:
        return _number(low)
    return f"**{_number(figure.median)}** ({_number(low)} – {_number(high)})"


def _noise(figures: Sequence[Figure]) -> str:
    """How far apart the rounds were: what is less than that apart is no difference."""
    spreads = sorted((max(e.rounds) - min(e.rounds)) / e.median for e in figures if e.median and len(e.rounds) > 1)
    if not spreads:
        return "Noise: unknown, there was one round."
    middle = spreads[len(spreads) // 2]
    rounds = max(len(each.rounds) for each in figures)
    return (
        f"Noise over {rounds} rounds, (max − min) / median: half of the figures up to {middle:.0%}, "
        f"the worst {spreads[-1]:.0%}."
    )


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
