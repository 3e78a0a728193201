"""Everything that ranking needs to know about one surface of one tenant, ready to answer from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recsys.ranking.rules import CompiledRules, compile_rules
from recsys.ranking.sources import make_sources

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, MutableMapping, Sequence

    from recsys.domain.config import SurfaceSettings
    from recsys.domain.rules import Rule
    from recsys.ranking.popularity import PopularityRanking
    from recsys.ranking.signal import Signal
    from recsys.ranking.signals import SurfaceSignals


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceState:
    """Signals, settings and rules of a surface. ``sources``: the signals that there is data for, by name.

    ``answers``: those that were worked out for nobody in particular.
    """

    signals: SurfaceSignals
    popularity: PopularityRanking
    settings: SurfaceSettings
    rules: CompiledRules
    sources: Mapping[str, Signal]
    answers: dict[Hashable, Any] = field(default_factory=dict)


def compose_surface(
    signals: SurfaceSignals,
    popularity: PopularityRanking,
    settings: SurfaceSettings,
    rules: Sequence[Rule],
    compiled: MutableMapping[Hashable, CompiledRules] | None = None,
) -> SurfaceState:
    """Put a surface together; ``popularity`` must be that of ``settings.popularity.half_life_days``.

    ``compiled``: where states of the same signals and rules, with different settings, share what is large: a number or
    two for every item.
    """
    compiled = {} if compiled is None else compiled
    key = _decisive(settings)
    shared = compiled.get(key)
    if shared is None:
        in_use = rules if settings.enable_rules else ()
        shared = compiled[key] = compile_rules(in_use, signals, popularity, settings)
    return SurfaceState(signals, popularity, settings, shared, make_sources(signals))


def _decisive(settings: SurfaceSettings) -> Hashable:
    """What of the settings compiled rules are made from."""
    diversity = settings.diversity
    caps = (diversity.brand_cap, diversity.category_cap)
    return (settings.enable_rules, settings.popularity.half_life_days, caps, settings.limits.fanout)
