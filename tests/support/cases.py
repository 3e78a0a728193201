"""Random small surfaces and what to ask them, for Hypothesis."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec
from hypothesis import strategies as st

from recsys.domain.catalogue import SurfaceRows
from recsys.ranking.pipeline import Ranking
from recsys.ranking.state import SurfaceState
from tests.support.crowded import Crowd
from tests.support.reference import Event, Fed, Lists, Reference
from tests.support.surfaces import DAY, NOW, ask, ask_for, item, request, rows, rules_of, settings_of, surface

IDS = [*(f"i{n}" for n in range(12)), "é", "Z", "ß", "\U0001f600"]
TAGS = ["red", "blue", "brand:x", "brand:y", "category:c"]
USERS = ["ann", "bob"]
KINDS = ["view", "purchase"]

_Any: TypeAlias = st.SearchStrategy[Any]

_names = st.sampled_from(IDS)
_some_names = st.lists(_names, max_size=4)
_some_tags = st.lists(st.sampled_from(TAGS), max_size=3)
_count = st.sampled_from([0.0, 5e-324, 0.1, 0.25, 1.0, 1 / 3, 7.0]) | st.floats(0.01, 9.0)
_cosine = st.sampled_from([-0.5, 0.0, 0.1, 1 / 3, 0.9, 1.0])
_moment = st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(seconds=1)])


@dataclass(frozen=True)
class Case:
    """A surface (tables, what is fed beside them, config, rules) and a request."""

    data: SurfaceRows
    fed: Fed
    config: dict[str, Any]
    said: list[dict[str, Any]]
    wish: dict[str, Any]
    subject: str | None = None

    def state(self) -> SurfaceState:
        return surface(self.data, self.config, self.said, **vars(self.fed))

    def ask(self, **more: Any) -> Ranking:
        wish = self.wish | more
        return ask(self.state(), **wish) if self.subject is None else ask_for(self.subject, self.state(), **wish)

    def reference(self) -> Reference:
        settings, said = settings_of(self.config), rules_of(self.said)
        return Reference(self.data, self.fed, settings, said, request(**self.wish), NOW, self.subject)

    def shuffled(self, chance: random.Random) -> Case:
        """The same, loaded in another order."""
        names = ("items", "popularity", "covisits")
        mixed = {name: chance.sample(list(getattr(self.data, name)), len(getattr(self.data, name))) for name in names}
        history = self.fed.history
        lists: dict[str, Any] = {
            name: _reversed(getattr(self.fed, name)) for name in ("emb", "content", "session", "collab")
        }
        fed = replace(
            self.fed,
            **lists,
            history=None if history is None else chance.sample(list(history), len(history)),
        )
        return replace(self, data=msgspec.structs.replace(self.data, **mixed), fed=fed)


def _reversed(lists: Lists | None) -> Lists | None:
    return None if lists is None else {row: dict(reversed(list(lists[row].items()))) for row in reversed(list(lists))}


def _one_dict(made: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {key: value for part in made for key, value in part.items()}


def _optional(part: str, fields: dict[str, _Any]) -> dict[str, _Any]:
    return {part: st.fixed_dictionaries({}, optional=fields)}


_facts = st.tuples(
    _some_tags,
    st.fixed_dictionaries(
        {},
        optional={
            "price": st.sampled_from([1.0, 5.0, 9.0]),
            "created_at": _moment,
            "brand": st.sampled_from(["x", "z"]),
        },
    ),
)
_days = st.integers(0, 2).map(lambda n: DAY.replace(day=DAY.day - n))


_surfaces: _Any = st.builds(
    rows,
    items=st.dictionaries(_names, _facts, max_size=12).map(
        lambda found: [item(name, *tags, **facts) for name, (tags, facts) in found.items()]
    ),
    popularity=st.dictionaries(st.tuples(_names, _days), _count, max_size=16).map(
        lambda found: [(*key, score) for key, score in found.items()]
    ),
    covisits=st.dictionaries(st.tuples(_names, _names, _days), _count, max_size=24).map(
        lambda found: [(*key, score) for key, score in found.items()]
    ),
)
_targets: _Any = st.one_of(
    _names.map(lambda name: {"target_type": "item", "target_key": name}),
    _some_names.map(lambda names: {"target_type": "item", "item_ids": names}),
    st.sampled_from(TAGS).map(lambda tag: {"target_type": "tag", "target_key": tag}),
    st.just({"target_type": "brand", "target_key": "x"}),
)
_actions: _Any = st.one_of(
    st.just({"action": "block"}),
    st.sampled_from([{"action": "pin"}, {"action": "pin", "max_pins": 1}]),
    st.sampled_from([-2, -0.5, 0, 0.1, 0.2, 0.5, 3]).map(lambda value: {"action": "boost", "boost_value": value}),
)
_when: _Any = st.fixed_dictionaries(
    {"priority": st.integers(-1, 1)},
    optional={
        "segment": st.sampled_from(["default", "vip"]),
        "surface": st.sampled_from(["home", "pdp"]),
        "valid_from": _moment,
        "valid_until": _moment,
        "enabled": st.booleans(),
    },
)
_rules: _Any = st.lists(st.tuples(_targets, _actions, _when).map(_one_dict), max_size=5)
_weights = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([0.0, 1e-310, 0.3, 1.0]) for name in ("pop", "cooc", "emb")}
)
_algorithms = st.sampled_from(["blend", "popularity", "cooc", "implicit", "content_sim", "session_seq"])
_configs: _Any = st.fixed_dictionaries(
    {
        "limits": st.fixed_dictionaries({"fanout": st.integers(1, 6), "max_pins": st.integers(0, 3)}),
        "diversity": st.fixed_dictionaries(
            {"mmr_lambda": st.sampled_from([None, 0, 0.3, 0.5, 0.7, 1.0])},
            optional={"brand_cap": st.integers(1, 2), "category_cap": st.just(1)},
        ),
        "personalization": st.fixed_dictionaries(
            {"boost": st.sampled_from([0, 0.3, 1.0]), "min_events": st.integers(0, 3)},
            optional={"top_tags": st.integers(1, 3), "cold_start_multiplier": st.sampled_from([0.0, 0.5, 1.5])},
        ),
    },
    optional={
        "algorithm": _algorithms,
        "weights": _weights,
        **_optional("popularity", {"half_life_days": st.sampled_from([1.0, 1.5])}),
        **_optional("anchors", {"half_life": st.sampled_from([1.0, 0.7])}),
        **_optional("flags", {"enable_rules": st.booleans()}),
        **_optional(
            "exclude",
            {
                "event_types": st.lists(st.sampled_from([*KINDS, "refund"]), max_size=2),
                "window_days": st.sampled_from([0.5, 1, 2]),
            },
        ),
    },
)
_constraints = st.fixed_dictionaries(
    {},
    optional={
        "required_tags": st.lists(st.sampled_from([*TAGS, "nobody has it"]), max_size=1),
        "forbidden_tags": _some_tags,
        "price_min": st.just(2.0),
        "price_max": st.just(5.0),
        "created_after": st.just(NOW - timedelta(days=1)),
        "max_per_tag": st.dictionaries(st.sampled_from(TAGS), st.integers(0, 2), max_size=2),
    },
)
_anchors = st.fixed_dictionaries({"item_ids": _some_names}, optional={"max_anchors": st.integers(1, 3)})
_wishes = st.fixed_dictionaries(
    {"k": st.integers(1, 8), "anchors": _anchors},
    optional={
        "constraints": _constraints,
        "candidates": st.fixed_dictionaries(
            {"exclude_ids": _some_names}, optional={"include_ids": st.lists(_names, max_size=8)}
        ),
        "weights": _weights,
        "algorithm": _algorithms,
        "segment": st.just("vip"),
    },
)


_events = st.builds(
    Event,
    user=st.sampled_from(USERS),
    item_id=_names,
    kind=st.sampled_from(KINDS),
    at=st.integers(0, 6).map(lambda halves: NOW - timedelta(days=halves / 2)),
)


def _lists(owners: st.SearchStrategy[str], values: st.SearchStrategy[float]) -> _Any:
    return st.none() | st.dictionaries(owners, st.dictionaries(_names, values, max_size=4), max_size=5)


_sessions = st.none() | st.lists(st.lists(_names, min_size=1, max_size=5), max_size=8)
_fed = {
    "emb": _lists(_names, _cosine),
    "content": _lists(_names, _count),
    "session": _lists(_names, _count),
    "sessions": _sessions,
}
_users = {"collab": _lists(st.sampled_from(USERS), _count), "history": st.none() | st.lists(_events, max_size=8)}


def _within(fed: Fed, universe: set[str]) -> Fed:
    """Without what the tables do not name."""

    def known(lists: Lists | None) -> Lists | None:
        return (
            None
            if lists is None
            else {
                row: {name: value for name, value in found.items() if name in universe}
                for row, found in lists.items()
                if row in universe or row in USERS
            }
        )

    history = fed.history and [event for event in fed.history if event.item_id in universe]
    told = fed.sessions and [[name for name in each if name in universe] for each in fed.sessions]
    sessions = told and [each for each in told if each]
    return Fed(known(fed.emb), known(fed.content), known(fed.session), known(fed.collab), sessions, history)


def cases(*, known_users: bool = False) -> st.SearchStrategy[Case]:
    """Cases; with ``known_users`` somebody asks, who may have a list and a history."""
    subjects = st.sampled_from([*USERS, "stranger"]) if known_users else st.none()
    small = st.builds(
        Case,
        data=_surfaces,
        fed=st.builds(Fed, **_fed, **(_users if known_users else {})),
        config=_configs,
        said=_rules,
        wish=_wishes,
        subject=subjects,
    ).map(lambda case: replace(case, fed=_within(case.fed, set(case.reference().universe))))

    def crowded(seed: int, subject: str | None) -> Case:
        crowd = Crowd(random.Random(seed), IDS, TAGS, USERS)
        fed = crowd.fed(known_users=known_users)
        return Case(crowd.data(), fed, crowd.config(), crowd.rules(), crowd.wish(), subject)

    large = st.builds(crowded, st.integers(0, 2**63), subjects)
    return small | large | large
