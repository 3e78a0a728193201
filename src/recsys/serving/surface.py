"""One surface of a snapshot, with every set of experiment variants laid over it that has been asked for."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from recsys.domain.config import resolve
from recsys.domain.recommend import DEFAULT_SEGMENT
from recsys.ranking.state import SurfaceState, compose_surface

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

    from recsys.domain.config import Variant
    from recsys.ranking.rules import CompiledRules
    from recsys.serving.snapshot import DocumentPart, SignalPart

_COMBINATIONS_KEPT = 256


class ServedSurface:
    """The states of one surface. Immutable but for the memory of combinations of variants; threads may share it.

    The surface without variants is always there. Each variant is composed ahead, off the event loop; several at once,
    when first asked for, take the rules and the popularity order from the ones that are there already.
    """

    def __init__(self, name: str, documents: DocumentPart, part: SignalPart, now: datetime) -> None:
        self._name = name
        self._documents = documents
        self._part = part
        self._lock = Lock()
        # Large: kept for as long as one of the states has them.
        self._compiled: WeakValueDictionary[Hashable, CompiledRules] = WeakValueDictionary()
        # By identity: a variant's config holds dicts, and the documents keep the variants alive.
        self._combinations: OrderedDict[tuple[int, ...], SurfaceState] = OrderedDict()
        self._plain = self._compose(())
        for variants in [(), *((v,) for e in documents.config.experiments or [] for v in e.variants)]:
            self.state(variants).rules.active(DEFAULT_SEGMENT, now)

    def state(self, variants: tuple[Variant, ...] = ()) -> SurfaceState:
        """What to rank with when these variants, in document order, are laid over the surface's config."""
        if not variants:
            return self._plain
        key = tuple(map(id, variants))
        with self._lock:
            found = self._combinations.get(key)
            if found is None:
                found = self._combinations[key] = self._compose(variants)
                if len(self._combinations) > _COMBINATIONS_KEPT:
                    self._combinations.popitem(last=False)
            else:
                self._combinations.move_to_end(key)
            return found

    def _compose(self, variants: tuple[Variant, ...]) -> SurfaceState:
        settings = resolve(self._documents.config, self._name, variants)
        popularity = self._part.popularity(settings.popularity.half_life_days)
        return compose_surface(self._part.signals, popularity, settings, self._documents.rules, self._compiled)
