"""What a stage came to, in a line or a few: for whoever runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.pipelines.canonicalise import Canonical
    from recsys.pipelines.compute import Made
    from recsys.pipelines.ingest import StagedFile
    from recsys.pipelines.validate import Validation
    from recsys.pipelines.window import Window


def of_files(files: Sequence[StagedFile]) -> str:
    """How much was read, and how much of it does not count."""
    reasons: Counter[str] = Counter()
    for file in files:
        reasons.update(file.set_aside)
    why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
    return (
        f"Files: {len(files):,}. Events: {sum(file.events for file in files):,}; "
        f"of other surfaces: {sum(file.elsewhere for file in files):,}; "
        f"set aside: {reasons.total():,}{f' ({why})' if why else ''}."
    )


def of_days(canonical: Canonical, window: Window) -> str:
    """How many events the window has, and what all days together have twice."""
    found = [canonical.days[day] for day in map(str, window.days()) if day in canonical.days]
    events = sum(day.events for day in found)
    return (
        f"Days with events: {len(found):,} of {len(window.days()):,}. Events: {events:,}; "
        f"duplicates, set aside: {canonical.duplicates:,}."
    )


def of_gates(validation: Validation) -> str:
    """A line for each gate."""
    verdicts = {True: "passed", False: "FAILED"}
    return "\n".join(f"{verdicts[gate.passed]}  {gate.name}: {gate.detail}" for gate in validation.gates)


def of_artifacts(made: Sequence[Made]) -> str:
    """The artifacts, and how large they are."""
    return "Artifacts: " + (", ".join(f"{each.kind} ({each.rows:,} rows)" for each in made) or "none") + "."
