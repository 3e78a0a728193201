"""The search for better settings of a surface: fixed grids, one coordinate after the other, always the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from recsys.domain.config import Algorithm, AnchorsConfig, Weights
from recsys.evaluation.interval import Interval, bootstrap
from recsys.evaluation.served import Worth, answer_cases, compose_plain, judge
from recsys.ranking.scores import choose_weights
from recsys.ranking.sources import SOURCE_OF_MODE
from recsys.ranking.state import compose_surface
from recsys.serving.snapshot import SignalPart

if TYPE_CHECKING:
    from recsys.domain.config import SurfaceSettings
    from recsys.evaluation.holdout import Case
    from recsys.ranking.signals import SurfaceSignals
    from recsys.ranking.state import SurfaceState

WEIGHT_GRID: Final = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
HALF_LIVES: Final = (None, 1.0, 3.0, 10.0, 30.0)
MOST_PASSES: Final = 3

_WITHOUT_ANCHORS: Final = ("popularity", "implicit", "session_seq")

Progress = Callable[[str, int, int], None]


class Signals(NamedTuple):
    """By which names two signals go that can be computed in more than one way."""

    cooc: str
    implicit: str


@dataclass(frozen=True)
class Choice:
    """What is tuned. ``half_life``: of anchors, see the config."""

    signals: Signals
    algorithm: Algorithm
    weights: Weights
    half_life: float | None

    def applied_to(self, settings: SurfaceSettings) -> SurfaceSettings:
        """The settings with what is tuned in its place."""
        return msgspec.structs.replace(
            settings,
            algorithm=self.algorithm,
            weights=self.weights if self.algorithm == "blend" else settings.weights,
            anchors=AnchorsConfig(half_life=self.half_life),
        )


@dataclass(frozen=True)
class Trial:
    """A choice, and what its answers are worth."""

    choice: Choice
    worth: Worth


@dataclass(frozen=True)
class Tuned:
    """The choice in force, the best one, and all that were tried, in their order.

    ``gain``: NDCG of the best less that in force, case by case.
    """

    current: Trial
    best: Trial
    trials: list[Trial]
    gain: Interval


@dataclass
class Search:
    """Looks for the choice of the highest mean NDCG; of equals the one tried first, so what is in force stays.

    ``signals``: by the names of :class:`Signals`, the first those in force; they are asked for when they are
    needed. ``settings``: of the surface, as they are.
    """

    signals: Mapping[tuple[str, str], SurfaceSignals]
    settings: SurfaceSettings
    cases: Sequence[Case]
    k: int
    progress: Progress = lambda *_: None
    _tried: dict[Choice, Trial] = field(default_factory=dict)
    _states: dict[Signals, SurfaceState] = field(default_factory=dict)

    def run(self) -> Tuned:
        """Try what is in force, all signals in every mode, then one coordinate after the other until nothing helps."""
        now = self.settings
        weights = choose_weights("blend", None, now.weights)
        start = Choice(self._first, now.algorithm, weights, now.anchors.half_life)
        current = best = self._try(start)
        for choice in self._starts(start):
            best = self._better(best, choice)
        for _ in range(MOST_PASSES):
            before = best
            for coordinate in _COORDINATES:
                for choice in coordinate(self, best.choice):
                    best = self._better(best, choice)
            if best is before:
                break
        trials = list(self._tried.values())
        return Tuned(current, best, trials, bootstrap(best.worth.ndcgs - current.worth.ndcgs))

    def _better(self, best: Trial, choice: Choice) -> Trial:
        trial = self._try(choice)
        return trial if trial.worth.ndcg.mean > best.worth.ndcg.mean else best

    def _try(self, choice: Choice) -> Trial:
        key = self._decisive(choice)
        found = self._tried.get(key)
        if found is None:
            state = self._state(choice)
            found = Trial(choice, judge(answer_cases(state, self.cases, self.k), self.cases, self.k))
            self._tried[key] = found
            self.progress("tune", len(self._tried), self._most)
        return found

    def _decisive(self, choice: Choice) -> Choice:
        """The choice without what does not matter in its mode, so that nothing is tried twice."""
        if choice.algorithm == "blend":
            return choice
        first = self._first
        signals = Signals(
            choice.signals.cooc if choice.algorithm == "cooc" else first.cooc,
            choice.signals.implicit if choice.algorithm == "implicit" else first.implicit,
        )
        half_life = None if choice.algorithm in _WITHOUT_ANCHORS else choice.half_life
        return Choice(signals, choice.algorithm, Weights(), half_life)

    def _state(self, choice: Choice) -> SurfaceState:
        settings = choice.applied_to(self.settings)
        known = self._states.get(choice.signals)
        if known is None:
            known = self._states[choice.signals] = compose_plain(SignalPart(self.signals[choice.signals]), settings)
        return compose_surface(known.signals, known.popularity, settings, ())

    def _modes(self) -> Iterator[Algorithm]:
        """The blend, and the modes that there are signals for."""
        sources = self._state(Choice(self._first, "blend", Weights(), None)).sources
        yield "blend"
        yield "popularity"
        yield from (mode for mode, source in SOURCE_OF_MODE.items() if source in sources)

    @property
    def _names(self) -> list[Signals]:
        return [Signals(*names) for names in self.signals]

    @property
    def _first(self) -> Signals:
        return self._names[0]

    @property
    def _most(self) -> int:
        """About so many trials at most; what does not matter in a mode is not tried twice."""
        variants = sum(len(set(names)) for names in zip(*self._names, strict=True))
        return 2 * variants + MOST_PASSES * (variants + 3 * len(WEIGHT_GRID) + len(HALF_LIVES))

    def _starts(self, start: Choice) -> Iterator[Choice]:
        for mode in self._modes():
            choice = replace(start, algorithm=mode)
            yield choice
            yield from self.coocs_of(choice)
            yield from self.implicits_of(choice)

    def coocs_of(self, choice: Choice) -> Iterator[Choice]:
        """The choice with co-visits weighed otherwise: the scale of a signal says what its weight means."""
        same = choice.signals.implicit
        yield from (replace(choice, signals=each) for each in self._names if each.implicit == same)

    def implicits_of(self, choice: Choice) -> Iterator[Choice]:
        """The choice with other lists for users, where there are users."""
        same = choice.signals.cooc
        if any(case.subject is not None for case in self.cases):
            yield from (replace(choice, signals=each) for each in self._names if each.cooc == same)

    def algorithms_of(self, choice: Choice) -> Iterator[Choice]:
        """The choice in each mode."""
        yield from (replace(choice, algorithm=mode) for mode in self._modes())

    def weights_of(self, choice: Choice) -> Iterator[Choice]:
        """The blend with one weight after the other changed."""
        for name in ("pop", "cooc", "emb"):
            for value in WEIGHT_GRID:
                weights = msgspec.structs.replace(choice.weights, **{name: value})
                yield replace(choice, algorithm="blend", weights=weights)

    def half_lives_of(self, choice: Choice) -> Iterator[Choice]:
        """The choice with anchors that fade more or less quickly."""
        yield from (replace(choice, half_life=value) for value in HALF_LIVES)


_COORDINATES: Final = (
    Search.coocs_of, Search.implicits_of, Search.weights_of, Search.half_lives_of, Search.algorithms_of,
)  # fmt: skip
