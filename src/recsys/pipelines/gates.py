"""Gates: is this input good enough to be served from? Pure: counts in, verdicts out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from recsys.pipelines.settings import Gates

MOST_ROWS: Final = 20
"""How many rows, days or items a verdict names."""

LIMITS: Final = {
    "set_aside": ("max_set_aside_share",),
    "duplicates": ("max_duplicate_share",),
    "window": ("max_missing_days_share",),
    "events": ("min_events",),
    "volume": ("min_volume_ratio", "max_volume_ratio"),
    "drift": ("max_drift",),
}
"""The settings that each gate holds events against."""

_MOST_DIGITS: Final = 17


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict. ``rows``: what it is about, the worst first, at most :data:`MOST_ROWS`."""

    name: str
    passed: bool
    detail: str
    rows: list[str] = []


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What gates judge. ``volume``: events per day of the window; ``items``: events per item.

    ``before`` and ``items_before``: the same of the run that this one is compared with, empty when there is none.
    ``examples``: where set-aside records stand, and why.
    """

    days: list[date]
    volume: dict[str, int]
    items: dict[str, int]
    read: int
    set_aside: dict[str, int]
    duplicates: int
    examples: list[str] = []
    before: dict[str, int] = {}
    items_before: dict[str, int] = {}


def judge(found: Input, gates: Gates) -> list[Gate]:
    """All verdicts; publishing takes that every one has passed."""
    verdicts = [*_rows(found, gates), _window(found, gates), *_volume(found, gates), _drift(found, gates)]
    return [gate if gate.passed else _with_limits(gate, gates) for gate in verdicts]


def _with_limits(gate: Gate, gates: Gates) -> Gate:
    """A verdict that says which settings it was measured by, as they are."""
    if gate.name == "events" and gates.min_events == 1:
        return gate  # nothing is too little whatever the setting
    limits = json.dumps({"gates": {name: getattr(gates, name) for name in LIMITS[gate.name]}})
    return msgspec.structs.replace(gate, detail=f"{gate.detail} To move the limit: --settings FILE with {limits}")


def distance(now: Mapping[str, int], before: Mapping[str, int]) -> tuple[float, list[tuple[str, float, float]]]:
    """Total variation distance of two distributions, ½ Σ |p − q|: 0 equal, 1 nothing in common.

    And the items that make most of it, with their shares now and before, the largest difference first.
    """
    total, total_before = sum(now.values()) or 1, sum(before.values()) or 1
    names = sorted(now.keys() | before.keys())
    # Whole numbers until the last division: what is exactly at a limit is not beyond it.
    apart = sum(abs(now.get(name, 0) * total_before - before.get(name, 0) * total) for name in names)
    shares = [(name, now.get(name, 0) / total, before.get(name, 0) / total_before) for name in names]
    shares.sort(key=lambda row: -abs(row[1] - row[2]))
    return apart / (2 * total * total_before), shares[:MOST_ROWS]


def _share(value: float, limit: float) -> str:
    """A share beside its limit, in percent."""
    told = _told_apart(value, limit, lambda number, digits: f"{number:.{digits}%}", 2)
    return f"{told}, at most {_percent(limit)}"


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


def _told_apart(value: float, limit: float, spell: Callable[[float, int], str], digits: int) -> str:
    """A value in words, with as many digits as it takes to be told from a limit that it is not at."""
    while value != limit and spell(value, digits) == spell(limit, digits) and digits < _MOST_DIGITS:
        digits += 1
    return spell(value, digits)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def _rows(found: Input, gates: Gates) -> Iterator[Gate]:
    bad = sum(found.set_aside.values())
    share = bad / max(1, found.read + bad)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(found.set_aside.items())) or "none"
    yield Gate(
        name="set_aside",
        passed=share <= gates.max_set_aside_share,
        detail=f"{bad:,} records set aside ({_share(share, gates.max_set_aside_share)}): {reasons}.",
        rows=found.examples[:MOST_ROWS],
    )
    repeated = found.duplicates / max(1, found.read)
    yield Gate(
        name="duplicates",
        passed=repeated <= gates.max_duplicate_share,
        detail=f"{found.duplicates:,} duplicates ({_share(repeated, gates.max_duplicate_share)}).",
    )


def _window(found: Input, gates: Gates) -> Gate:
    missing = [day.isoformat() for day in found.days if not found.volume.get(day.isoformat())]
    share = len(missing) / max(1, len(found.days))
    return Gate(
        name="window",
        passed=share <= gates.max_missing_days_share,
        detail=f"{len(missing)} of {len(found.days)} days have no events "
        f"(at most {_percent(gates.max_missing_days_share)}).",
        rows=missing[:MOST_ROWS],
    )


def _volume(found: Input, gates: Gates) -> Iterator[Gate]:
    events = sum(found.volume.values())
    yield Gate(
        name="events", passed=events >= gates.min_events, detail=f"{events:,} events, at least {gates.min_events:,}."
    )
    now, before = _typical(found.volume.values()), _typical(found.before.values())
    if not before:
        yield Gate(name="volume", passed=True, detail="There is no published run to compare with.")
        return
    ratio = now / before
    low, high = gates.min_volume_ratio, gates.max_volume_ratio
    told = _told_apart(ratio, low if ratio < 1 else high, _number, 2)
    odd = [f"{day}: {count:,}" for day, count in found.volume.items() if not low <= count / before <= high]
    yield Gate(
        name="volume",
        passed=low <= ratio <= high,
        detail=f"{now:,.0f} events on the median day, {told} times those of the run before ({low} to {high}).",
        rows=odd[:MOST_ROWS],
    )


def _typical(counts: Iterable[int]) -> float:
    values = [count for count in counts if count]
    return float(median(values)) if values else 0.0


def _drift(found: Input, gates: Gates) -> Gate:
    if not found.items_before:
        return Gate(name="drift", passed=True, detail="There is no published run to compare with.")
    if not found.items:
        detail = "There are no events to compare with those of the run before."
        return Gate(name="drift", passed=True, detail=detail)
    value, worst = distance(found.items, found.items_before)
    told = _told_apart(value, gates.max_drift, _number, 3)
    return Gate(
        name="drift",
        passed=value <= gates.max_drift,
        detail=f"The items' shares of events are {told} from those of the run before (at most {gates.max_drift}).",
        rows=[f"{item}: {before:.2%} → {now:.2%}" for item, now, before in worst],
    )
