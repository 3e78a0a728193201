"""Merchandising rules, compiled against a surface: block beats pin beats boost, whatever the priorities.

What is in force changes only when a window opens or closes, so the work of laying rules over each other is done once
per segment and stretch of time, and a request pays for one look-up.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recsys.ranking import kernel
from recsys.ranking.arrays import (
    NO_INDICES,
    Indices,
    as_indices,
    contains,
)
from recsys.ranking.scores import boosted
from recsys.ranking.table import (
    EMPTY_OFFER,
    NO_BOUNDS,
    NO_CAP,
    WORKSPACES,
    Grid,
    Offer,
    Surface,
    pack_offer,
    pack_surface,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from recsys.domain.config import DiversityConfig, SurfaceSettings
    from recsys.domain.rules import Action, Rule
    from recsys.ranking.compiler import Packed
    from recsys.ranking.popularity import PopularityRanking
    from recsys.ranking.signals import SurfaceSignals

_STRETCHES_KEPT = 8
"""Each has a number for every item."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule and what it hits. ``name``: its id, else ``#`` and its position in the document (from 0).

    ``items`` ascending; ``in_order``: as the pins go to the top (ids as listed; for a tag the most popular first).
    """

    name: str
    rule: Rule
    items: Indices
    in_order: Indices


@dataclass(frozen=True, slots=True, eq=False)
class ActiveRules:
    """The rules in force for one segment and stretch of time, laid over each other.

    ``surface``: what they come to, for compiled ranking; ``offer``: what is offered to everybody. ``when``: the segment
    if a rule names it, and how many edges of windows have passed. The rules in order of priority, then document.
    """

    when: tuple[str | None, int]
    blocks: tuple[CompiledRule, ...]
    pins: tuple[CompiledRule, ...]
    lifts: tuple[CompiledRule, ...]
    surface: Packed
    offer: Packed

    def matching(self, item: int) -> list[str]:
        """The names of the rules that hit an item: blocks, then pins, then boosts."""
        return [each.name for each in (*self.blocks, *self.pins, *self.lifts) if hits(each, item)]


def hits(rule: CompiledRule, item: int) -> bool:
    """Whether the rule's target holds the item."""
    return bool(contains(rule.items, as_indices([item]))[0])


class Ground(NamedTuple):
    """What rules are laid over: a surface's signals, its order of popularity, its caps (see ``Surface.tag_caps``)."""

    signals: SurfaceSignals
    popularity: PopularityRanking
    tag_caps: Indices
    fanout: int


class CompiledRules:
    """The rules of one surface. Immutable but for the memory of what is in force when."""

    def __init__(self, rules: Sequence[CompiledRule], ground: Ground) -> None:
        self._rules = tuple(rules)
        self._ground = ground
        self._segments = frozenset(each.rule.segment for each in rules if each.rule.segment is not None)
        edges = {edge for each in rules for edge in (each.rule.valid_from, each.rule.valid_until) if edge is not None}
        self._edges = sorted(edges)
        self._memory: dict[tuple[str | None, int], ActiveRules] = {}

    def active(self, segment: str, now: datetime) -> ActiveRules:
        """What is in force; windows are half-open, which is what ``bisect_right`` counts."""
        key = (segment if segment in self._segments else None, bisect_right(self._edges, now))
        found = self._memory.get(key)
        if found is None:
            in_force = [r for r in self._rules if r.rule.segment in (None, segment) and r.rule.in_force(now)]
            found = _lay_over(in_force, key, self._ground)
            if len(self._memory) >= _STRETCHES_KEPT:
                self._memory.clear()
            self._memory[key] = found
        return found


def compile_rules(
    rules: Sequence[Rule], signals: SurfaceSignals, popularity: PopularityRanking, settings: SurfaceSettings
) -> CompiledRules:
    """Resolve the targets of the rules that concern this surface. Unknown items and tags are skipped."""
    ground = Ground(signals, popularity, _tag_caps(signals, settings.diversity), settings.limits.fanout)
    compiled = []
    for position, rule in enumerate(rules):
        if not rule.enabled or rule.surface not in (None, signals.surface):
            continue
        in_order = _targets(rule, signals)
        items = in_order
        if rule.target_type == "item":
            items = np.sort(in_order)
        elif rule.action == "pin":
            in_order = items[np.argsort(popularity.rank[items])]
        if items.size:
            compiled.append(CompiledRule(rule.id or f"#{position}", rule, items, in_order))
    compiled.sort(key=lambda each: -each.rule.priority)  # stable: document order within a priority
    return CompiledRules(compiled, ground)


def count_blocked(rules: Sequence[Rule], signals: SurfaceSignals, now: datetime) -> int:
    """How many items of a surface the rules in force for all segments block."""
    hit = [
        _targets(rule, signals)
        for rule in rules
        if rule.action == "block"
        and rule.segment is None
        and rule.surface in (None, signals.surface)
        and rule.in_force(now)
    ]
    return int(np.unique(np.concatenate(hit)).size) if hit else 0


def _targets(rule: Rule, signals: SurfaceSignals) -> Indices:
    if rule.target_type == "item":
        return signals.ids.find(rule.target_items())
    tag = signals.tag_index.get(rule.target_tag() or "")
    return NO_INDICES if tag is None else signals.tag_items.row(tag)


def _lay_over(rules: Sequence[CompiledRule], when: tuple[str | None, int], ground: Ground) -> ActiveRules:
    by_action: dict[Action, tuple[CompiledRule, ...]] = {
        action: tuple(each for each in rules if each.rule.action == action) for action in ("block", "pin", "boost")
    }
    signals, popularity = ground.signals, ground.popularity
    worth, boost_order = _worth(by_action["block"], by_action["boost"], popularity)
    pins = by_action["pin"]
    surface = Surface(
        prices=signals.prices,
        created_at=signals.created_at,
        tag_starts=signals.item_tags.starts,
        tags=signals.item_tags.columns,
        worth=worth,
        boost_order=boost_order,
        pins=np.concatenate([NO_INDICES, *(each.in_order for each in pins)]),
        pin_starts=np.cumsum([0, *(each.in_order.size for each in pins)], dtype=np.int64),
        pin_most=np.array([each.rule.max_pins or each.in_order.size for each in pins], np.int64),
        tag_caps=ground.tag_caps,
    )
    packed = pack_surface(surface)
    return ActiveRules(when, by_action["block"], pins, by_action["boost"], packed, _offer(packed, ground))


def _offer(surface: Packed, ground: Ground) -> Packed:
    order = ground.popularity.order
    workspace, give_back = WORKSPACES.take(order.size, len(ground.signals.tags))
    try:
        kernel.begin(workspace.addresses, EMPTY_OFFER.addresses, NO_INDICES, NO_INDICES, False)
        kernel.make_offer(workspace.addresses, surface.addresses, NO_BOUNDS.addresses, order, ground.fanout)
        table, count = workspace.table, workspace.table.tally[kernel.COUNT]
        return pack_offer(
            Offer(
                items=table.items[:count].copy(),
                origin=table.origin[:count].copy(),
                verdict=table.verdict[:count].copy(),
                tally=table.tally.copy(),
            )
        )
    finally:
        give_back(workspace)


def _worth(
    blocks: Sequence[CompiledRule], lifts: Sequence[CompiledRule], popularity: PopularityRanking
) -> tuple[Grid, Indices]:
    """``worth`` and ``boost_order`` of :class:`Surface`.

    What gains stands in the order of what the boost makes of its popularity, best first.
    """
    sums = np.zeros(popularity.scores.size)
    for each in lifts:  # one after the other, since the order of a sum is part of its value
        sums[each.items] += each.rule.boost_value or 0.0
    gaining = np.flatnonzero(sums > 0).astype(np.int32)
    promise = boosted(popularity.norms[gaining], sums[gaining])
    for each in blocks:
        sums[each.items] = np.nan
    return np.stack((popularity.norms, sums), axis=1), gaining[np.argsort(-promise, kind="stable")]


def _tag_caps(signals: SurfaceSignals, diversity: DiversityConfig) -> Indices:
    caps = {"brand:": diversity.brand_cap, "category:": diversity.category_cap}
    given = {prefix: cap for prefix, cap in caps.items() if cap is not None}
    if not given:
        return NO_INDICES
    return as_indices(
        min((cap for prefix, cap in given.items() if tag.startswith(prefix)), default=NO_CAP) for tag in signals.tags
    )
