"""The days that a run is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

FIXED_POINT: Final = 1 << 20
"""Weights are whole numbers of this part: sums of whole numbers are the same in every order and on every engine."""


@dataclass(frozen=True)
class Window:
    """UTC days from ``start`` to ``end``, both included."""

    start: date
    end: date

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.start <= day <= self.end

    def days(self) -> list[date]:
        """All days, in order."""
        return [self.start + timedelta(days=number) for number in range(len(self))]

    def decay(self, half_life_days: float | None) -> dict[int, int]:
        """2^(−age/half-life) of each day in fixed point, by day number since 1970; the age of the last day is 0."""
        last = day_number(self.end)
        ages = range(len(self))
        return {last - age: FIXED_POINT if half_life_days is None else _faded(age, half_life_days) for age in ages}


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _faded(age: int, half_life_days: float) -> int:
    faded: float = 2.0 ** (-age / half_life_days)
    return max(1, round(FIXED_POINT * faded))
