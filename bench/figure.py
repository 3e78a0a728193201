"""What a measurement yields: one figure per round, so that the noise is shown beside the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
class Bar:
    """What is asked for, and what was measured: the median over the rounds unless ``what`` says otherwise."""

    what: str
    measured: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the measured value holds."""
        low = self.at_least is None or self.measured >= self.at_least
        return low and (self.at_most is None or self.measured <= self.at_most)


@dataclass(frozen=True)
class Section:
    """One benchmark: what was done, what came out, and which bars that is held to."""

    name: str
    what: str
    figures: list[Figure]
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """How long and how often to measure."""

    seconds: float
    rounds: int
    connections: int
    quick: bool = False


class Rounds:
    """Collects measures round by round; the order of first mention is kept."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], list[float]] = {}

    def add(self, case: str, measure: str, unit: str, value: float) -> None:
        self._values.setdefault((case, measure, unit), []).append(value)

    def median(self, case: str, measure: str) -> float:
        """The median of what was added."""
        return median(self._of(case, measure))

    def most(self, case: str, measure: str) -> float:
        """The largest of what was added."""
        return max(self._of(case, measure))

    def figures(self) -> list[Figure]:
        return [Figure(*names, tuple(values)) for names, values in self._values.items()]

    def _of(self, case: str, measure: str) -> list[float]:
        return next(values for (at, name, _), values in self._values.items() if (at, name) == (case, measure))


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
