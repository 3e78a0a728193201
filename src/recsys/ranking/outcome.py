"""What ranking found, before it is written down as an answer or an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.ranking.arrays import Indices, Positions, Values
    from recsys.ranking.candidates import Drawn


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Candidates and pins, ascending, with every step of their scores (float64, alike in length).

    ``baseline_name`` says what ``baseline`` (raw) is: ``popularity``, or the mode's own signal.
    """

    items: Indices
    baseline_name: str
    baseline: Values
    cooc: Values
    semantic: Values | None
    blended: Values
    personalised: Values
    final: Values


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What ranking found: the candidates, their scores, and the answer as positions into ``scored.items``."""

    drawn: Drawn
    scored: Scored
    answer: Positions
    fanout: int
