"""Surfaces with much to choose from, drawn evenly: every item has tags and scores, every part of the config says something.

Hypothesis likes its cases small, where most of the formulas have nothing to do; these meet all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from recsys.domain.catalogue import Item, SurfaceRows
from tests.support.reference import Event, Fed
from tests.support.surfaces import DAY, NOW, item, rows

ALGORITHMS = ["blend", "blend", "popularity", "cooc", "implicit", "content_sim", "session_seq"]


class Crowd:
    """A generator of the parts of a case over these ids, tags, users and event types."""

    def __init__(self, chance: Random, ids: Sequence[str], tags: Sequence[str], users: Sequence[str]) -> None:
        self._chance = chance
        self._ids = ids
        self._tags = tags
        self._users = users

    def data(self) -> SurfaceRows:
        days = [DAY - timedelta(days=back) for back in range(3)]
        pairs = [(a, i) for a in self._ids for i in self._some(self._ids, 0, 6)]
        return rows(
            [self._item(name) for name in self._ids],
            popularity=[(name, day, self._score()) for name in self._ids for day in self._some(days, 1, 3)],
            covisits=[(a, i, day, self._score()) for a, i in pairs for day in self._some(days, 1, 2)],
        )

    def fed(self, *, known_users: bool) -> Fed:
        chance = self._chance
        cosines = {a: {i: chance.uniform(-0.3, 1.2) for i in self._some(self._ids, 0, 6)} for a in self._ids}
        return Fed(
            emb=cosines if self._maybe() else None,
            content=self._lists(self._ids) if self._maybe() else None,
            session=self._lists(self._ids) if self._maybe() else None,
            sessions=[self._some(self._ids, 1, 8) for _ in range(chance.randint(0, 120))] if self._maybe() else None,
            collab=self._lists(self._users) if known_users and self._maybe() else None,
            history=[self._event() for _ in range(chance.randint(0, 20))] if known_users else None,
        )

    def config(self) -> dict[str, Any]:
        chance = self._chance
        return {
            "algorithm": chance.choice(ALGORITHMS),
            "limits": {"fanout": chance.choice([1, 2, 4, 8, 500]), "max_pins": chance.choice([0, 1, 2, 3, 3])},
            "popularity": {"half_life_days": chance.uniform(0.5, 3)} if self._maybe() else {},
            "anchors": {"half_life": chance.uniform(0.5, 3)} if self._maybe() else {},
            "diversity": {
                "mmr_lambda": chance.choice([None, 0.5, chance.uniform(0.2, 0.8), chance.uniform(0.2, 0.8)]),
                "brand_cap": chance.choice([None, None, None, 1]),
                "category_cap": chance.choice([None, None, None, 4]),
            },
            "personalization": {
                "boost": chance.choice([0, 0.5, chance.random()]),
                "top_tags": chance.randint(1, 5),
                "min_events": chance.randint(0, 3),
                "cold_start_multiplier": chance.random(),
            },
            "exclude": {"event_types": ["purchase"], "window_days": chance.choice([None, 1, 2])}
            if self._maybe()
            else {},
        }

    def rules(self) -> list[dict[str, Any]]:
        return [self._rule() for _ in range(self._chance.randint(0, 6))]

    def wish(self) -> dict[str, Any]:
        chance = self._chance
        anchors = self._some([*self._ids, "unknown"], 0, 4)
        wish: dict[str, Any] = {"k": chance.randint(1, 10), "anchors": {"item_ids": anchors}}
        if self._maybe():
            wish["weights"] = {name: chance.random() for name in ("pop", "cooc", "emb")}
        if chance.random() < 0.2:
            wish["constraints"] = {"forbidden_tags": self._some(self._tags, 1, 1), "max_per_tag": {self._tags[0]: 1}}
        if chance.random() < 0.2:
            wish["candidates"] = {"exclude_ids": self._some(self._ids, 1, 4)}
        return wish

    def _rule(self) -> dict[str, Any]:
        """Rules are about the same few items, so that they meet: what is pinned is boosted too."""
        chance = self._chance
        tag: dict[str, Any] = {"target_type": "tag", "target_key": chance.choice(self._tags)}
        targets: list[dict[str, Any]] = [{"target_type": "item", "item_ids": self._some(self._ids[:5], 1, 3)}, tag]
        actions: list[dict[str, Any]] = [
            {"action": "block"},
            {"action": "pin", "max_pins": chance.randint(1, 2)},
            {"action": "pin"},
            {"action": "boost", "boost_value": chance.uniform(-1, 6)},
            {"action": "boost", "boost_value": chance.choice([-1, 0.1, 0.2, 1])},
        ]
        action = chance.choice(actions)
        target = targets[0] if action["action"] == "block" else chance.choice(targets)
        return {**action, **target, "priority": chance.randint(-1, 1)}

    def _item(self, name: str) -> Item:
        chance = self._chance
        return item(name, *self._some(self._tags, 1, 3), price=chance.choice([None, 1.0, 5.0]))

    def _event(self) -> Event:
        chance = self._chance
        at = NOW - timedelta(days=chance.randint(0, 8) / 2)
        return Event(chance.choice(self._users), chance.choice(self._ids), chance.choice(["view", "purchase"]), at)

    def _lists(self, owners: Sequence[str]) -> dict[str, dict[str, float]]:
        return {owner: {i: self._score() for i in self._some(self._ids, 0, 6)} for owner in owners}

    def _score(self) -> float:
        """Often a round number, so that sums and scores tie."""
        return self._chance.choice([0.0, 0.5, 1.0, 3.0, 9 * self._chance.random(), 9 * self._chance.random()])

    def _some(self, values: Sequence[Any], least: int, most: int) -> list[Any]:
        return self._chance.sample(list(values), self._chance.randint(least, most))

    def _maybe(self) -> bool:
        return self._chance.random() < 0.5
