"""What a measurement yields: one figure per round, so that the noise is shown beside the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measure of one case, once per round."""

    case: str
    measure: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.rounds)


@dataclass(frozen=True)
class Section:
    """One benchmark: what was done, and what came out."""

    name: str
    what: str
    figures: list[Figure]


@dataclass(frozen=True)
class Options:
    """How long and how often to measure."""

    seconds: float
    rounds: int
    connections: int


class Rounds:
    """Collects measures round by round; the order of first mention is kept."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[float]] = {}

    def add(self, case: str, measure: str, unit: str, value: float) -> None:
        self._values.setdefault((case, measure, unit), []).append(value)

    def figures(self) -> list[Figure]:
        return [Figure(*names, tuple(values)) for names, values in self._values.items()]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
