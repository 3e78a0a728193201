"""Gates: is this input good enough to be served from? Pure: counts in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from recsys.pipelines.settings import Gates

MOST_ROWS: Final = 20
"""How many rows, days or items a verdict names."""


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
    return [*_rows(found, gates), _window(found, gates), *_volume(found, gates), _drift(found, gates)]


def distance(now: Mapping[str, int], before: Mapping[str, int]) -> tuple[float, list[tuple[str, float, float]]]:
    """Total variation distance of two distributions, ½ Σ |p − q|: 0 equal, 1 nothing in common.

    And the items that make most of it, with their shares now and before, the largest difference first.
    """
    total, total_before = sum(now.values()) or 1, sum(before.values()) or 1
    names = sorted(now.keys() | before.keys())
    shares = [(name, now.get(name, 0) / total, before.get(name, 0) / total_before) for name in names]
    shares.sort(key=lambda row: -abs(row[1] - row[2]))
    return sum(abs(p - q) for _, p, q in shares) / 2, shares[:MOST_ROWS]


def _rows(found: Input, gates: Gates) -> Iterator[Gate]:
    bad = sum(found.set_aside.values())
    share = bad / max(1, found.read + bad)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(found.set_aside.items())) or "none"
    yield Gate(
        name="set_aside",
        passed=share <= gates.max_set_aside_share,
        detail=f"{bad:,} records set aside ({share:.2%}, at most {gates.max_set_aside_share:.2%}): {reasons}.",
        rows=found.examples[:MOST_ROWS],
    )
    repeated = found.duplicates / max(1, found.read)
    yield Gate(
        name="duplicates",
        passed=repeated <= gates.max_duplicate_share,
        detail=f"{found.duplicates:,} duplicates ({repeated:.2%}, at most {gates.max_duplicate_share:.2%}).",
    )


def _window(found: Input, gates: Gates) -> Gate:
    missing = [day.isoformat() for day in found.days if not found.volume.get(day.isoformat())]
    share = len(missing) / max(1, len(found.days))
    return Gate(
        name="window",
        passed=share <= gates.max_missing_days_share,
        detail=f"{len(missing)} of {len(found.days)} days have no events (at most {gates.max_missing_days_share:.0%}).",
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
    odd = [f"{day}: {count:,}" for day, count in found.volume.items() if not low <= count / before <= high]
    yield Gate(
        name="volume",
        passed=low <= ratio <= high,
        detail=f"{now:,.0f} events on the median day, {ratio:.2f} times those of the run before ({low} to {high}).",
        rows=odd[:MOST_ROWS],
    )


def _typical(counts: Iterable[int]) -> float:
    values = [count for count in counts if count]
    return float(median(values)) if values else 0.0


def _drift(found: Input, gates: Gates) -> Gate:
    if not found.items_before:
        return Gate(name="drift", passed=True, detail="There is no published run to compare with.")
    value, worst = distance(found.items, found.items_before)
    return Gate(
        name="drift",
        passed=value <= gates.max_drift,
        detail=f"The items' shares of events are {value:.3f} from those of the run before (at most {gates.max_drift}).",
        rows=[f"{item}: {before:.2%} → {now:.2%}" for item, now, before in worst],
    )
