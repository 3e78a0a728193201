"""One surface of a snapshot, with every set of experiment variants laid over it that has been asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.domain.config import resolve
from recsys.domain.recommend import DEFAULT_SEGMENT
from recsys.ranking.state import SurfaceState, compose_surface

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.domain.config import Variant
    from recsys.serving.snapshot import DocumentPart, SignalPart

_COMBINATIONS_KEPT = 256


class ServedSurface:
    """The states of one surface. Immutable but for the memory of combinations of variants.

    Each variant is composed ahead, off the event loop; several at once, when first asked for, take their popularity
    order from the ones that are there already.
    """

    def __init__(self, name: str, documents: DocumentPart, part: SignalPart, now: datetime) -> None:
        self._name = name
        self._documents = documents
        self._part = part
        # By identity: a variant's config holds dicts, and the documents keep the variants alive.
        self._states: dict[tuple[int, ...], SurfaceState] = {}
        for variants in [(), *((v,) for e in documents.config.experiments or [] for v in e.variants)]:
            self.state(variants).rules.active(DEFAULT_SEGMENT, now)

    def state(self, variants: tuple[Variant, ...] = ()) -> SurfaceState:
        """What to rank with when these variants, in document order, are laid over the surface's config."""
        key = tuple(map(id, variants))
        found = self._states.get(key)
        if found is None:
            settings = resolve(self._documents.config, self._name, variants)
            popularity = self._part.popularity(settings.popularity.half_life_days)
            found = compose_surface(self._part.signals, popularity, settings, self._documents.rules)
            if len(self._states) >= _COMBINATIONS_KEPT:
                self._states.pop(next(iter(self._states)))
            self._states[key] = found
        return found
