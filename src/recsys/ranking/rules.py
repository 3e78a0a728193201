"""Merchandising rules, compiled against a surface: block beats pin beats boost, whatever the priorities.

What is in force changes only when a window opens or closes, so the work of laying rules over each other is done once
per segment and stretch of time, and a request pays for one look-up.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.ranking.arrays import (
    NO_INDICES,
    Indices,
    SparseScores,
    as_indices,
    contains,
    sum_by_index,
)
from recsys.ranking.scores import boosted, norm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from recsys.domain.rules import Action, Rule
    from recsys.ranking.popularity import PopularityRanking
    from recsys.ranking.signals import SurfaceSignals

_STRETCHES_KEPT = 32


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

    ``blocked`` ascending; ``boosts`` Σ of the boost values per item; ``boost_order`` the items that gain, by what the
    boost makes of their popularity, best first; the rules themselves in order of priority, then document.
    """

    blocks: tuple[CompiledRule, ...]
    pins: tuple[CompiledRule, ...]
    lifts: tuple[CompiledRule, ...]
    blocked: Indices
    boosts: SparseScores
    boost_order: Indices

    def matching(self, item: int) -> list[str]:
        """The names of the rules that hit an item: blocks, then pins, then boosts."""
        return [each.name for each in (*self.blocks, *self.pins, *self.lifts) if hits(each, item)]


def hits(rule: CompiledRule, item: int) -> bool:
    """Whether the rule's target holds the item."""
    return bool(contains(rule.items, as_indices([item]))[0])


class CompiledRules:
    """The rules of one surface. Immutable but for the memory of what is in force when."""

    def __init__(self, rules: Sequence[CompiledRule], popularity: PopularityRanking) -> None:
        self._rules = tuple(rules)
        self._popularity = popularity
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
            found = _lay_over(in_force, self._popularity)
            if len(self._memory) >= _STRETCHES_KEPT:
                self._memory.clear()
            self._memory[key] = found
        return found


def compile_rules(rules: Sequence[Rule], signals: SurfaceSignals, popularity: PopularityRanking) -> CompiledRules:
    """Resolve the targets of the rules that concern this surface. Unknown items and tags are skipped."""
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
    return CompiledRules(compiled, popularity)


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


def choose_pins(active: ActiveRules, keep: Callable[[Indices], Indices], limit: int) -> Indices:
    """The pinned items in their order: at most ``limit`` in all and ``max_pins`` of each rule, eligible ones only."""
    chosen: list[int] = []
    for each in active.pins:
        room = min(limit - len(chosen), each.rule.max_pins or limit)
        if room > 0:
            chosen += _first_eligible(each.in_order, keep, room, chosen)
    return as_indices(chosen)


def _first_eligible(items: Indices, keep: Callable[[Indices], Indices], room: int, chosen: Sequence[int]) -> list[int]:
    taken = as_indices(sorted(chosen))
    found: list[int] = []
    start, size = 0, max(64, room)
    while len(found) < room and start < items.size:
        chunk = items[start : start + size]
        fresh = chunk[~contains(taken, chunk)]
        found += keep(fresh).tolist()
        start, size = start + size, size * 2
    return found[:room]


def _targets(rule: Rule, signals: SurfaceSignals) -> Indices:
    if rule.target_type == "item":
        return signals.ids.find(rule.target_items())
    tag = signals.tag_index.get(rule.target_tag() or "")
    return NO_INDICES if tag is None else signals.tag_items.row(tag)


def _lay_over(rules: Sequence[CompiledRule], popularity: PopularityRanking) -> ActiveRules:
    by_action: dict[Action, tuple[CompiledRule, ...]] = {
        action: tuple(each for each in rules if each.rule.action == action) for action in ("block", "pin", "boost")
    }
    blocks, lifts = by_action["block"], by_action["boost"]
    boosts = sum_by_index(
        [each.items for each in lifts],
        [np.full(each.items.size, each.rule.boost_value or 0.0) for each in lifts],
    )
    gains = boosts.values > 0
    gaining = boosts.indices[gains]
    promise = boosted(norm(popularity.scores[gaining]), boosts.values[gains])
    return ActiveRules(
        blocks=blocks,
        pins=by_action["pin"],
        lifts=lifts,
        blocked=np.unique(np.concatenate([each.items for each in blocks])) if blocks else NO_INDICES,
        boosts=boosts,
        boost_order=gaining[np.argsort(-promise, kind="stable")],
    )
