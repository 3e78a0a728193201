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
_FINAL_PAUSE_S: Final = 300.0
"""Bytes that are wrong stay so, and hashing them is work; but publishing them again mends them in their place."""


@dataclass(frozen=True, slots=True)
class _Failure:
    source: SignalSource
    refused: bool
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
        """A surface could not be served from this source. Another try is worth it ever more rarely."""
        before = self._of.get(surface)
        pause_s = _FIRST_PAUSE_S
        if isinstance(error, ManifestRefused) and error.final:
            pause_s = _FINAL_PAUSE_S
        elif before is not None and before.source == source:
            pause_s = min(2 * before.pause_s, _LONGEST_PAUSE_S)
        self._of[surface] = _Failure(source, isinstance(error, ManifestRefused), pause_s, monotonic() + pause_s)

    def forget(self, surface: str) -> None:
        """All is well with a surface."""
        self._of.pop(surface, None)

    def forget_others(self, sources: Mapping[str, SignalSource]) -> None:
        """Only failures of what each surface is to be served from now still matter."""
        self._of = {surface: failure for surface, failure in self._of.items() if sources.get(surface) == failure.source}

    def rest(self, surface: str, source: SignalSource) -> bool:
        """Whether it is no use trying this source yet."""
        failure = self._of.get(surface)
        return failure is not None and failure.source == source and monotonic() < failure.again_at

    def is_refused(self, surface: str, source: SignalSource) -> bool:
        """Whether this source of a surface is refused."""
        failure = self._of.get(surface)
        return failure is not None and failure.refused and failure.source == source
