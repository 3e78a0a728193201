"""Everything that ranking needs to know about one surface of one tenant, ready to answer from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.ranking.rules import CompiledRules, compile_rules
from recsys.ranking.sources import make_sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys.domain.config import SurfaceSettings
    from recsys.domain.rules import Rule
    from recsys.ranking.popularity import PopularityRanking
    from recsys.ranking.signal import Signal
    from recsys.ranking.signals import SurfaceSignals


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceState:
    """Signals, settings and rules of a surface. ``sources``: the signals that there is data for, by name."""

    signals: SurfaceSignals
    popularity: PopularityRanking
    settings: SurfaceSettings
    rules: CompiledRules
    sources: Mapping[str, Signal]


def compose_surface(
    signals: SurfaceSignals, popularity: PopularityRanking, settings: SurfaceSettings, rules: Sequence[Rule]
) -> SurfaceState:
    """Put a surface together; ``popularity`` must be that of ``settings.popularity.half_life_days``."""
    return SurfaceState(
        signals=signals,
        popularity=popularity,
        settings=settings,
        rules=compile_rules(rules if settings.enable_rules else (), signals, popularity, settings.diversity),
        sources=make_sources(signals),
    )
