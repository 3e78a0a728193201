"""The ranking contract once more: slow, in plain Python, and without a line of the code that it judges.

Every float operation stands in the order that the contract gives it, so answers must agree to the last bit. Sums are
loops, since ``sum`` of floats rounds differently from Python 3.12 on; ``exp2`` is numpy's, as libraries differ in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import frexp, fsum, sqrt

import numpy as np

from recsys.domain.catalogue import Item, SurfaceRows
from recsys.domain.config import DEFAULT_WEIGHTS, SurfaceSettings, Weights
from recsys.domain.recommend import RecommendRequest
from recsys.domain.rules import Action, Rule

Lists = Mapping[str, Mapping[str, float]]
"""For each anchor or user: items and their scores."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SOURCE_OF_MODE = {"cooc": "cooc", "implicit": "collab", "content_sim": "content", "session_seq": "session"}


@dataclass(frozen=True)
class Event:
    """What a user did with an item, and when (with a zone)."""

    user: str
    item_id: str
    kind: str
    at: datetime


@dataclass(frozen=True)
class Fed:
    """What a surface may have beside its tables; None: no source of it. Every id must stand in the tables."""

    emb: Lists | None = None
    content: Lists | None = None
    session: Lists | None = None
    collab: Lists | None = None
    sessions: Sequence[Sequence[str]] | None = None
    history: Sequence[Event] | None = None


@dataclass(frozen=True)
class Reference:
    """One request to one surface, and everything that its answer depends on."""

    data: SurfaceRows
    fed: Fed
    settings: SurfaceSettings
    rules: Sequence[Rule]
    request: RecommendRequest
    now: datetime
    subject: str | None = None

    def answer(self) -> list[tuple[str, float]]:
        """The answered ids and their scores, in order: more candidates are drawn until k are found or none is left."""
        fanout = self.settings.limits.fanout
        while True:
            drawn, exhausted = self.draw(fanout)
            scores = self.scores(drawn)
            chosen = self.choose(scores)
            if len(chosen) >= self.request.k or exhausted:
                return [(name, scores[name]) for name in chosen]
            fanout *= 4

    # --- the surface --------------------------------------------------------------------------------------------------

    @cached_property
    def universe(self) -> list[str]:
        """Every id that any table names, by code point."""
        described = {item.item_id for item in self.data.items}
        popular = {name for name, _, _ in self.data.popularity}
        paired = {name for anchor, other, _, _ in self.data.covisits for name in (anchor, other)}
        return sorted(described | popular | paired)

    @cached_property
    def items(self) -> dict[str, Item]:
        return {item.item_id: item for item in self.data.items}

    def tags(self, name: str) -> list[str]:
        return self.items[name].all_tags() if name in self.items else []

    @cached_property
    def popularity(self) -> dict[str, float]:
        """pop(i) = Σ over days of score(i, d) · 2^(−(D − d)/half_life_days)."""
        half_life = self.settings.popularity.half_life_days
        latest = max((day for _, day, _ in self.data.popularity), default=None)
        sums = dict.fromkeys(self.universe, 0.0)
        for name, day, score in sorted(self.data.popularity):
            assert latest is not None
            age = float((latest - day).days)
            sums[name] += score if half_life is None else score * _exp2(-(age / half_life))
        return sums

    @cached_property
    def by_popularity(self) -> list[str]:
        return sorted(self.universe, key=lambda name: (-self.popularity[name], name))

    @cached_property
    def pairs(self) -> Lists:
        """n(a, i), summed over days; pairs that were never seen together do not count."""
        sums: dict[str, dict[str, float]] = {}
        for anchor, other, _, score in sorted(self.data.covisits):
            row = sums.setdefault(anchor, {})
            row[other] = row.get(other, 0.0) + score
        return {anchor: {other: n for other, n in row.items() if n > 0} for anchor, row in sums.items()}

    # --- who asks -----------------------------------------------------------------------------------------------------

    @cached_property
    def events(self) -> list[Event]:
        """What this user did, oldest first; at one time, by item."""
        own = [event for event in self.fed.history or () if event.user == self.subject]
        return sorted(own, key=lambda event: (event.at, event.item_id))

    @cached_property
    def anchors(self) -> list[str]:
        """Oldest first, each once at its last place: the request's, unknown ones among them, else the recent history."""
        asked = self.request.anchors
        named = asked.item_ids or [event.item_id for event in self.events]
        newest_first = list(dict.fromkeys(reversed(named)))
        return newest_first[: asked.max_anchors or 50][::-1]

    @cached_property
    def weighted_anchors(self) -> list[tuple[str, float]]:
        """The known ones: w = 1, or 2^(−age/half_life) with age 0 for the last, unknown ones counted."""
        half_life = self.settings.anchors.half_life
        return [
            (name, 1.0 if half_life is None else _exp2(-(age / half_life)))
            for age, name in reversed(list(enumerate(reversed(self.anchors))))
            if name in self.universe
        ]

    # --- filters ------------------------------------------------------------------------------------------------------

    @cached_property
    def done(self) -> set[str]:
        """What the config's ``exclude`` keeps out: items of such events, counted from the newest event of all users."""
        exclude = self.settings.exclude
        newest = max((event.at for event in self.fed.history or ()), default=EPOCH)
        return {
            event.item_id
            for event in self.events
            if event.kind in exclude.event_types
            and (exclude.window_days is None or newest - event.at <= timedelta(days=exclude.window_days))
        }

    def eligible(self, name: str) -> bool:
        limits, tags = self.request.constraints, set(self.tags(name))
        if name in self.request.candidates.exclude_ids or name in self.done:
            return False
        if self.request.anchors.item_ids and name in self.anchors:  # those of the history may be answered
            return False
        if any(name in self.targets(rule) for rule in self.active("block")):
            return False
        if not tags.issuperset(limits.required_tags) or tags.intersection(limits.forbidden_tags):
            return False
        if any(limits.max_per_tag.get(tag) == 0 for tag in tags):
            return False
        item = self.items.get(name)
        price, created_at = (item.price, item.created_at) if item else (None, None)
        if limits.price_min is not None and (price is None or price < limits.price_min):
            return False
        if limits.price_max is not None and (price is None or price > limits.price_max):
            return False
        return limits.created_after is None or (created_at is not None and created_at > limits.created_after)

    # --- rules --------------------------------------------------------------------------------------------------------

    def active(self, action: Action) -> list[Rule]:
        """The rules in force, by priority, then as in the document."""
        request = self.request
        return sorted(
            (
                rule
                for rule in (self.rules if self.settings.enable_rules else ())
                if rule.action == action
                and rule.surface in (None, request.surface)
                and rule.segment in (None, request.segment)
                and rule.in_force(self.now)
            ),
            key=lambda rule: -rule.priority,
        )

    def targets(self, rule: Rule) -> list[str]:
        """The items that a rule hits: as listed, or the most popular first."""
        if rule.target_type == "item":
            return [name for name in rule.target_items() if name in self.universe]
        return [name for name in self.by_popularity if rule.target_tag() in self.tags(name)]

    @cached_property
    def pins(self) -> list[str]:
        limit = min(self.settings.limits.max_pins, self.request.k)
        chosen: list[str] = []
        for rule in self.active("pin"):
            fresh = [name for name in self.targets(rule) if name not in chosen and self.eligible(name)]
            chosen += fresh[: min(limit - len(chosen), rule.max_pins or limit)]
        return chosen

    @cached_property
    def boosts(self) -> dict[str, float]:
        """Σ of the matching boosts' values."""
        sums: dict[str, float] = {}
        for rule in self.active("boost"):
            for name in self.targets(rule):
                sums[name] = sums.get(name, 0.0) + (rule.boost_value or 0.0)
        return sums

    # --- sources ------------------------------------------------------------------------------------------------------

    @cached_property
    def recalls(self) -> dict[str, dict[str, float]]:
        """What each source finds, and how much of it."""
        fed, anchors = self.fed, self.weighted_anchors
        found = {"cooc": _add_up(self.pairs, anchors)}
        if fed.emb is not None:
            total = fsum(weight for _, weight in anchors)
            found["emb"] = _add_up(fed.emb, [(name, weight / total) for name, weight in anchors])
        if fed.content is not None:
            found["content"] = _add_up(fed.content, anchors)
        if fed.sessions is not None:
            found["session"] = self.nearest_sessions(fed.sessions, [name for name, _ in anchors][-2:])
        elif fed.session is not None:
            last_two = [name for name, _ in anchors][-2:]
            found["session"] = _add_up(fed.session, list(zip(last_two, (0.5, 1.0)[-len(last_two) :], strict=False)))
        if fed.collab is not None:
            found["collab"] = dict(fed.collab.get(self.subject or "", {}))
        return found

    @staticmethod
    def nearest_sessions(sessions: Sequence[Sequence[str]], last: Sequence[str]) -> dict[str, float]:
        """VMIS-kNN with m = 500, k = 50, as shares; sessions stand in the order of their time."""
        recent = [s for s in reversed(range(len(sessions))) if set(last) & set(sessions[s])][:500]
        alike = {}
        for s in recent:
            alike[s] = 0.0
            for place, name in enumerate(last, 1):
                alike[s] += place / len(last) if name in sessions[s] else 0.0
        idf = {
            name: _log(len(sessions) / sum(name in session for session in sessions))
            for name in {name for s in recent for name in sessions[s]}
        }
        weights = {}
        for s in sorted(recent, key=lambda s: (-alike[s], -s))[:50]:
            latest = next(x for x, name in enumerate(reversed(last), 1) if name in sessions[s])
            weights[s] = alike[s] * max(1.0 - latest / 10.0, 0.0)
        given = 0.0
        for s, weight in weights.items():
            own = 0.0
            for name in sorted(set(sessions[s])):
                own += idf[name]
            given += weight * own
        shared = (len(last) + 1) / 2 / given if given else 1.0
        sums: dict[str, float] = {}
        for s, weight in weights.items():
            for name in sorted(set(sessions[s])):
                sums[name] = sums.get(name, 0.0) + idf[name] * (weight * shared)
        return sums

    def draw(self, fanout: int) -> tuple[list[str], bool]:
        """The candidates, and whether no eligible item is left outside."""
        included = self.request.candidates.include_ids
        if included is not None:
            return [name for name in self.universe if name in included and self.eligible(name)], True
        popular = list(_first(fanout, filter(self.eligible, self.by_popularity)))
        gaining = sorted(name for name, value in self.boosts.items() if value > 0)
        gaining.sort(key=lambda name: -_boosted(_norm(self.popularity[name]), self.boosts[name]))
        lifted = _first(fanout, filter(self.eligible, gaining))
        neighbours = (name for found in self.recalls.values() for name in found if self.eligible(name))
        return sorted({*popular, *lifted, *neighbours}), len(popular) < fanout

    # --- scores -------------------------------------------------------------------------------------------------------

    @cached_property
    def weights(self) -> Weights:
        if self.request.weights is not None:
            chosen = self.request.weights
        elif self.algorithm == "blend":
            chosen = self.settings.weights or DEFAULT_WEIGHTS
        else:
            chosen = Weights(pop=1.0)
        return chosen if chosen.pop or chosen.cooc or chosen.emb else Weights(pop=1.0)

    @property
    def algorithm(self) -> str:
        return self.request.algorithm or self.settings.algorithm

    def scores(self, drawn: Sequence[str]) -> dict[str, float]:
        """The final scores of the candidates and the pins."""
        own = self.recalls.get(SOURCE_OF_MODE.get(self.algorithm, ""), {})
        baseline = own if any(name in own for name in drawn) else self.popularity
        return {name: self.score(name, baseline.get(name, 0.0)) for name in sorted({*drawn, *self.pins})}

    def score(self, name: str, baseline: float) -> float:
        found, weights = self.recalls, self.weights
        blended = weights.pop * _norm(baseline) + weights.cooc * _norm(found["cooc"].get(name, 0.0))
        parts = [_norm(found[source].get(name, 0.0)) for source in ("collab", "content", "session") if source in found]
        if "emb" in found:
            parts.append(min(max(found["emb"].get(name, 0.0), 0.0), 1.0))
        if parts:
            blended += weights.emb * max(parts)
        personal = self.personalise(blended, name)
        return _boosted(personal, self.boosts.get(name, 0.0)) if self.active("boost") else personal

    @cached_property
    def profile(self) -> dict[str, float]:
        """The shares of the most frequent tags of the anchors; of equals, the lower tag."""
        counts = Counter(tag for name, _ in self.weighted_anchors for tag in self.tags(name))
        top = sorted(counts, key=lambda tag: (-counts[tag], tag))[: self.settings.personalization.top_tags]
        return {tag: counts[tag] / sum(counts[each] for each in top) for tag in top}

    def personalise(self, blended: float, name: str) -> float:
        config = self.settings.personalization
        if config.boost == 0 or not self.weighted_anchors:
            return blended
        overlap = 0.0
        for tag in self.tags(name):
            overlap += self.profile.get(tag, 0.0)
        c = config.cold_start_multiplier if len(self.anchors) < config.min_events else 1.0
        return blended * (1.0 + config.boost * overlap * c)

    # --- choice -------------------------------------------------------------------------------------------------------

    def cap(self, tag: str) -> int | None:
        diversity = self.settings.diversity
        caps = [
            diversity.brand_cap if tag.startswith("brand:") else None,
            diversity.category_cap if tag.startswith("category:") else None,
            self.request.constraints.max_per_tag.get(tag),
        ]
        return min((cap for cap in caps if cap is not None), default=None)

    def choose(self, scores: Mapping[str, float]) -> list[str]:
        """Pins, then one by one who is best, by score or by MMR, among those that no cap forbids."""
        ranked = sorted((name for name in scores if name not in self.pins), key=lambda name: (-scores[name], name))
        s_max = max((scores[name] for name in ranked), default=0.0)
        weight = self.settings.diversity.mmr_lambda or 0.0
        chosen = list(self.pins)
        while len(chosen) < self.request.k:
            full = self.full_tags(chosen)
            open_ = [name for name in ranked if name not in chosen and not full.intersection(self.tags(name))]
            if not open_:
                break
            chosen.append(
                max(open_, key=lambda name: self.gain(name, scores[name], s_max, chosen)) if weight else open_[0]
            )
        return self.pins + [name for name in ranked if name in chosen]

    def full_tags(self, chosen: Iterable[str]) -> set[str]:
        counts = Counter(tag for name in chosen for tag in self.tags(name))
        return {tag for tag, count in counts.items() if (cap := self.cap(tag)) is not None and count >= cap}

    def gain(self, name: str, score: float, s_max: float, chosen: Iterable[str]) -> float:
        """λ·s/s_max − (1−λ)·max Jaccard(tags) to those chosen."""
        weight = self.settings.diversity.mmr_lambda or 0.0
        alike = max((_jaccard(set(self.tags(name)), set(self.tags(other))) for other in chosen), default=0.0)
        relevance = weight * score / s_max if s_max > 0 else 0.0
        return relevance - (1.0 - weight) * alike


def _exp2(exponent: float) -> float:
    return float(np.exp2(np.array([exponent]))[0])


def _norm(score: float) -> float:
    return score / (score + 1.0) if score > 0 else 0.0


def _boosted(score: float, value: float) -> float:
    return max(value if score == 0 else score + score * value, 0.0)


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(len(one | other), 1)


def _first(count: int, names: Iterable[str]) -> Iterator[str]:
    return (name for _, name in zip(range(count), names, strict=False))


def _add_up(lists: Lists, weighted: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Σ of value · weight over the rows, in the order given."""
    sums: dict[str, float] = {}
    for row, weight in weighted:
        for name, value in lists.get(row, {}).items():
            sums[name] = sums.get(name, 0.0) + value * weight
    return sums


def _log(value: float) -> float:
    """ln, as 2·artanh of a number near 0: by sums and products, which are the same everywhere."""
    mantissa, exponent = frexp(value)
    if mantissa < sqrt(0.5):
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    series = 0.0
    for odd in range(25, 0, -2):
        series = series * (ratio * ratio) + 1.0 / odd
    return exponent * 0.6931471805599453 + 2.0 * ratio * series
