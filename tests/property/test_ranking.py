"""What holds for every surface, config, set of rules and request."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.domain.catalogue import SurfaceRows
from recsys.ranking.signals import build_signals
from tests.unit.ranking.surface import DAY, NOW, ask, ids, item, rows, surface

IDS = [f"i{n}" for n in range(12)] + ["é", "Z"]
TAGS = ["red", "blue", "brand:x", "brand:y", "category:c"]
names = st.sampled_from(IDS)
some_names = st.lists(names, max_size=4)
some_tags = st.lists(st.sampled_from(TAGS), max_size=3)
score = st.sampled_from([0.0, 0.1, 0.25, 1.0, 1 / 3, 7.0])
price = st.none() | st.sampled_from([1.0, 5.0, 9.0])

items = st.dictionaries(names, st.tuples(some_tags, price), max_size=12).map(
    lambda found: [item(name, *tags, price=cost) for name, (tags, cost) in found.items()]
)
surfaces = st.builds(
    rows,
    items=items,
    popular=st.dictionaries(names, score, max_size=10),
    cooc=st.dictionaries(st.tuples(names, names), score, max_size=20),
)
targets = st.one_of(
    names.map(lambda name: {"target_type": "item", "target_key": name}),
    st.sampled_from(TAGS).map(lambda tag: {"target_type": "tag", "target_key": tag}),
)
made: list[dict[str, Any]] = [
    {"action": "block"},
    {"action": "pin"},
    *({"action": "boost", "boost_value": value} for value in (-2, 0.5, 3)),
]
actions = st.sampled_from(made)
rules = st.lists(
    st.tuples(targets, actions, st.integers(-1, 1)).map(lambda made: made[0] | made[1] | {"priority": made[2]}),
    max_size=4,
)
configs = st.fixed_dictionaries(
    {"limits": st.fixed_dictionaries({"fanout": st.integers(1, 6), "max_pins": st.integers(0, 3)})},
    optional={
        "diversity": st.fixed_dictionaries(
            {}, optional={"mmr_lambda": st.sampled_from([0.3, 1.0]), "brand_cap": st.just(1)}
        ),
        "algorithm": st.sampled_from(["blend", "popularity", "cooc", "implicit"]),
        "personalization": st.just({"boost": 1.0}),
        "anchors": st.just({"half_life": 2.0}),
    },
)
constraints = st.fixed_dictionaries(
    {},
    optional={
        "required_tags": some_tags,
        "forbidden_tags": some_tags,
        "price_max": st.just(5.0),
        "max_per_tag": st.dictionaries(st.sampled_from(TAGS), st.integers(0, 2), max_size=2),
    },
)
requests = st.fixed_dictionaries(
    {"k": st.integers(1, 8), "constraints": constraints},
    optional={
        "anchors": st.fixed_dictionaries({"item_ids": some_names}),
        "candidates": st.fixed_dictionaries({"exclude_ids": some_names}),
    },
)
everything = given(data=surfaces, config=configs, said=rules, wish=requests)
EXPLAIN = {"explain": "full", "include_reasons": True, "include_trace": True}


def tags_of(data: SurfaceRows) -> dict[str, list[str]]:
    return {each.item_id: each.all_tags() for each in data.items}


def eligible(data: SurfaceRows, said: list[dict[str, Any]], wish: dict[str, Any]) -> set[str]:
    """Who may be answered at all, worked out the slow way."""
    tags, prices = tags_of(data), {each.item_id: each.price for each in data.items}
    limits = wish["constraints"]
    away = {*wish.get("candidates", {}).get("exclude_ids", []), *wish.get("anchors", {}).get("item_ids", [])}

    def fits(name: str) -> bool:
        own = set(tags.get(name, []))
        cost = prices.get(name)
        blocked = any(r["action"] == "block" and r["target_key"] in (own | {name}) for r in said)
        forbidden = {
            *limits.get("forbidden_tags", []),
            *(t for t, n in limits.get("max_per_tag", {}).items() if n == 0),
        }
        dear = "price_max" in limits and not (cost is not None and cost <= limits["price_max"])
        return not (blocked or own & forbidden or dear) and own >= set(limits.get("required_tags", []))

    return {name for name in build_signals(data).ids if name not in away and fits(name)}


def pinned(answer: list[str], data: SurfaceRows, said: list[dict[str, Any]]) -> list[bool]:
    tags = tags_of(data)
    keys = {rule["target_key"] for rule in said if rule["action"] == "pin"}
    return [bool(keys & {name, *tags.get(name, [])}) for name in answer]


@everything
@settings(max_examples=300, deadline=None)
def test_only_eligible_items_once_each_with_dense_ranks_in_order(
    data: SurfaceRows, config: dict[str, Any], said: list[dict[str, Any]], wish: dict[str, Any]
) -> None:
    found = ask(surface(data, config, said), **wish)
    answer = ids(found)
    assert set(answer) <= eligible(data, said, wish)
    assert len(set(answer)) == len(answer) <= wish["k"]
    assert [each.rank for each in found.items] == list(range(1, len(answer) + 1))
    rest = found.items[found.counts["pinned"] :]
    assert all(pinned(answer, data, said)[: found.counts["pinned"]])
    assert [(each.score, each.item_id) for each in rest] == sorted(
        ((each.score, each.item_id) for each in rest), key=lambda pair: (-pair[0], pair[1])
    )
    assert all(each.score >= 0 for each in found.items)


@everything
@settings(max_examples=300, deadline=None)
def test_a_list_is_short_only_when_nothing_more_fits(
    data: SurfaceRows, config: dict[str, Any], said: list[dict[str, Any]], wish: dict[str, Any]
) -> None:
    answer = ids(ask(surface(data, config, said), **wish))
    if len(answer) == wish["k"]:
        return
    tags = tags_of(data)
    counts = {tag: sum(tag in tags.get(name, []) for name in answer) for tag in TAGS}
    cap = config.get("diversity", {}).get("brand_cap", 99)
    caps = {
        tag: min(wish["constraints"].get("max_per_tag", {}).get(tag, 99), cap if tag[:5] == "brand" else 99)
        for tag in TAGS
    }
    for name in eligible(data, said, wish) - set(answer):
        assert any(counts[tag] >= caps[tag] for tag in tags.get(name, [])), name


@everything
@settings(max_examples=100, deadline=None)
def test_caps_hold_for_all_but_pins(
    data: SurfaceRows, config: dict[str, Any], said: list[dict[str, Any]], wish: dict[str, Any]
) -> None:
    found = ask(surface(data, config, said), **wish)
    tags, answer = tags_of(data), ids(found)
    pins = answer[: found.counts["pinned"]]
    for tag, cap in wish["constraints"].get("max_per_tag", {}).items():
        carrying = [name for name in answer if tag in tags.get(name, [])]
        assert len(carrying) <= max(cap, sum(name in pins for name in carrying))


@given(data=surfaces, config=configs, said=rules, wish=requests, seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_the_order_of_rows_does_not_matter(
    data: SurfaceRows, config: dict[str, Any], said: list[dict[str, Any]], wish: dict[str, Any], seed: int
) -> None:
    days = [(name, DAY.replace(day=1 + n), s / 3) for n in range(3) for name, _, s in data.popularity]
    pairs = [(a, i, DAY.replace(day=1 + n), s / 3) for n in range(3) for a, i, _, s in data.covisits]
    straight = msgspec.structs.replace(data, popularity=days, covisits=pairs)
    chance = random.Random(seed)
    mixed = {
        name: chance.sample(list(getattr(straight, name)), len(getattr(straight, name)))
        for name in ("items", "popularity", "covisits")
    }
    config = config | {"popularity": {"half_life_days": 1.5}}
    one = ask(surface(straight, config, said), **wish)
    other = ask(surface(msgspec.structs.replace(straight, **mixed), config, said), **wish)
    assert msgspec.json.encode(one.items) == msgspec.json.encode(other.items)


@given(data=surfaces, config=configs, said=rules, wish=requests, item_id=names)
@settings(max_examples=150, deadline=None)
def test_explaining_never_changes_the_answer(
    data: SurfaceRows, config: dict[str, Any], said: list[dict[str, Any]], wish: dict[str, Any], item_id: str
) -> None:
    state = surface(data, config, said)
    plain, explained = ask(state, **wish), ask(state, **wish, options=EXPLAIN | {"explain_item": item_id})
    assert [(e.item_id, e.rank, e.score) for e in plain.items] == [
        (e.item_id, e.rank, e.score) for e in explained.items
    ]
    assert (plain.counts, plain.warnings) == (explained.counts, explained.warnings)
    assert explained.explain_item is not None
    assert (explained.explain_item["outcome"] == "answered") == (item_id in ids(plain))


@given(data=surfaces, said=rules)
@settings(max_examples=50, deadline=None)
def test_an_answer_does_not_depend_on_what_was_asked_before(data: SurfaceRows, said: list[dict[str, Any]]) -> None:
    state = surface(data, None, said)
    first = ask(state, NOW)
    ask(state, NOW, segment="vip", k=3)
    assert msgspec.json.encode(ask(state, NOW).items) == msgspec.json.encode(first.items)
