"""Which manifests could not be served, and when another try is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from recsys.serving.artifact_reader import ManifestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.serving.signal_source import SignalSource

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Failure:
    source: SignalSource
    refused: bool
    final: bool
    pause_s: float
    again_at: float


class Failures:
    """The last failure of each surface, until it is served from what failed, or is to be served from something else."""

    def __init__(self) -> None:
        self._of: dict[str, _Failure] = {}

    @property
    def refused(self) -> list[str]:
        """The surfaces whose manifest is refused, in order."""
        return sorted(surface for surface, failure in self._of.items() if failure.refused)

    @property
    def waiting(self) -> bool:
        """Whether something could not be reached, and may be in a while."""
        return any(not failure.refused for failure in self._of.values())

    def note(self, surface: str, source: SignalSource, error: Exception) -> None:
        """A surface could not be served from this source. What is not final is worth another try ever more rarely."""
        before = self._of.get(surface)
        pause_s = _FIRST_PAUSE_S
        if before is not None and before.source == source:
            pause_s = min(2 * before.pause_s, _LONGEST_PAUSE_S)
        refused = isinstance(error, ManifestRefused)
        final = isinstance(error, ManifestRefused) and error.final
        self._of[surface] = _Failure(source, refused, final, pause_s, monotonic() + pause_s)

    def forget(self, surface: str) -> None:
        """All is well with a surface."""
        self._of.pop(surface, None)

    def forget_others(self, sources: Mapping[str, SignalSource]) -> None:
        """Only failures of what each surface is to be served from now still matter."""
        self._of = {surface: failure for surface, failure in self._of.items() if sources.get(surface) == failure.source}

    def rest(self, surface: str, source: SignalSource) -> bool:
        """Whether it is no use trying this source, or none yet."""
        failure = self._of.get(surface)
        return failure is not None and failure.source == source and (failure.final or monotonic() < failure.again_at)

    def is_refused(self, surface: str, source: SignalSource) -> bool:
        """Whether this source of a surface is refused."""
        failure = self._of.get(surface)
        return failure is not None and failure.refused and failure.source == source
