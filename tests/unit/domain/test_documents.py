"""What is ill-formed (400) and what is wrong in meaning (422) about config, rules and manifest."""

from collections.abc import Mapping
from typing import cast

import pytest

from recsys.domain.canonical import Json, parse
from recsys.domain.config import Config, read_config, resolve
from recsys.domain.document import CONFIG, KINDS, MANIFEST, RULES, DocumentKind
from recsys.domain.errors import InvalidRequest, Unprocessable
from recsys.domain.rules import read_rules

BLOCK = {"action": "block", "target_type": "tag", "target_key": "x"}
BOOST = {"action": "boost", "target_type": "tag", "target_key": "x", "boost_value": 1}
PIN = {"action": "pin", "target_type": "item", "item_ids": ["a"]}
EXPERIMENTS: list[Json] = [{"id": "x", "variants": [{"name": "a"}, {"name": "b", "config": {"algorithm": "cooc"}}]}]
MANIFEST_OK = {"v": 1, "tenant": "demo", "surface": "home", "current": {"popularity": "file:a"}}


def rule(base: Mapping[str, object], **changes: object) -> Json:
    return cast("Json", [{name: value for name, value in {**base, **changes}.items() if value is not ...}])


@pytest.mark.parametrize(
    ("kind", "value", "pointer", "meant"),
    [
        (CONFIG, [], "", None),
        (CONFIG, {"wieghts": {}}, "/wieghts", "weights"),
        (CONFIG, {"weights": {"pop": "1"}}, "/weights/pop", None),
        (CONFIG, {"weights": {"pop": True}}, "/weights/pop", None),
        (CONFIG, {"weights": {"pop": 1e13}}, "/weights/pop", None),
        (CONFIG, {"algorithm": "cooc2"}, "/algorithm", "cooc"),
        (CONFIG, {"limits": {"max_k": 0}}, "/limits/max_k", None),
        (CONFIG, {"limits": {"max_k": 1.5}}, "/limits/max_k", None),
        (CONFIG, {"flags": {"enable_rules": "yes"}}, "/flags/enable_rules", None),
        (CONFIG, {"popularity": {"half_life_days": 0}}, "/popularity/half_life_days", None),
        (CONFIG, {"surfaces": {"../x": {}}}, "/surfaces/..~1x", None),
        (CONFIG, {"surfaces": {"home\n": {}}}, "/surfaces/home\n", None),
        (CONFIG, {"surfaces": {"home": {"surfaces": {}}}}, "/surfaces/home/surfaces", None),
        (RULES, 1, "", None),
        (RULES, {"rule": []}, "/rule", "rules"),
        (RULES, [1], "/0", None),
        (RULES, rule(BLOCK, action="blok"), "/0/action", "block"),
        (RULES, rule(BLOCK, target_type="colour"), "/0/target_type", None),
        (RULES, rule(BLOCK, target_key=""), "/0/target_key", None),
        (RULES, {"rules": rule(BLOCK, prority=1)}, "/rules/0/prority", "priority"),
        (RULES, rule(BLOCK, namespace="a/b"), "/0/namespace", None),
        (RULES, rule(BLOCK, namespace="home", surface="home"), "/0/namespace", None),
        (RULES, rule(BLOCK, valid_from="2026-01-01"), "/0/valid_from", None),
        (RULES, rule(BLOCK, valid_from="2026-01-01T00:00:00"), "/0/valid_from", None),
        (MANIFEST, {**MANIFEST_OK, "v": 2}, "/v", None),
        (MANIFEST, {**MANIFEST_OK, "current": {"popularty": "x"}}, "/current/popularty", "popularity"),
        (MANIFEST, {**MANIFEST_OK, "current": {"cooc": ""}}, "/current/cooc", None),
    ],
)
def test_ill_formed_documents(kind: DocumentKind, value: Json, pointer: str, meant: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        kind.check(value)

    assert not isinstance(caught.value, Unprocessable)
    assert (caught.value.faults[0].pointer, caught.value.faults[0].did_you_mean) == (pointer, meant)


@pytest.mark.parametrize(
    ("kind", "value", "pointer"),
    [
        (CONFIG, {"weights": {"pop": -1}}, "/weights/pop"),
        (CONFIG, {"surfaces": {"home": {"weights": {"emb": -0.1}}}}, "/surfaces/home/weights/emb"),
        (CONFIG, {"experiments": [*EXPERIMENTS, *EXPERIMENTS]}, "/experiments/1/id"),
        (CONFIG, {"experiments": [{"id": "x", "variants": [{"name": "a"}, {"name": "a"}]}]}, "/experiments/0/variants"),
        (CONFIG, {"experiments": [{"id": "x", "variants": [{"name": "a", "weight": 0}]}]}, "/experiments/0/variants"),
        (
            CONFIG,
            {"experiments": [{"id": "x", "variants": [{"name": "a", "config": {"weights": {"pop": -1}}}]}]},
            "/experiments/0/variants/0/config/weights/pop",
        ),
        (RULES, rule(BLOCK, target_key=...), "/0"),
        (RULES, rule(PIN, item_ids=...), "/0"),
        (RULES, rule(PIN, item_ids=[]), "/0"),
        (RULES, rule(BLOCK, item_ids=["a"]), "/0/item_ids"),
        (RULES, rule(BOOST, boost_value=...), "/0"),
        (RULES, rule(BLOCK, boost_value=1), "/0/boost_value"),
        (RULES, rule(BLOCK, max_pins=1), "/0/max_pins"),
        (
            RULES,
            rule(BLOCK, valid_from="2026-01-01T00:00:00Z", valid_until="2026-01-01T01:00:00+01:00"),
            "/0/valid_until",
        ),
    ],
)
def test_documents_wrong_in_meaning(kind: DocumentKind, value: Json, pointer: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        kind.check(value)

    assert caught.value.faults[0].pointer == pointer


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (CONFIG, {}),
        (CONFIG, {"weights": {"pop": 0, "cooc": 0.5}, "surfaces": {"home": {"algorithm": "cooc"}}}),
        (CONFIG, {"experiments": EXPERIMENTS, "guard": {"any": 1}, "flags": {"of_tomorrow": False}}),
        (RULES, []),
        (RULES, {"rules": rule(PIN)}),
        (RULES, rule(BOOST, boost_value=-0.5, valid_until="2001-01-01T00:00:00Z", enabled=False)),
        (MANIFEST, MANIFEST_OK),
    ],
)
def test_good_documents_pass_whatever_the_date(kind: DocumentKind, value: Json) -> None:
    kind.check(value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        RULES.check(parse(b'[{"action": "pim", "target_type": "item", "x": 1}, {}]'))

    assert [fault.pointer for fault in caught.value.faults] == ["/0/action", "/0/x", "/1/action", "/1/target_type"]


def test_every_time_that_is_none_is_named_beside_other_faults_and_points_into_what_was_sent() -> None:
    bad = rule(BLOCK, valid_from="2026-11-23T10:00:00", valid_until=7, prority=1)

    with pytest.raises(InvalidRequest) as caught:
        RULES.check({"rules": [*cast("list[Json]", bad), *cast("list[Json]", bad), 1]})

    assert [fault.pointer for fault in caught.value.faults] == [
        *("/rules/0/valid_from", "/rules/0/valid_until", "/rules/0/prority"),
        *("/rules/1/valid_from", "/rules/1/valid_until", "/rules/1/prority"),
        "/rules/2",
    ]
    assert caught.value.faults[0].detail == (
        "Expected an RFC 3339 time with a zone, 2026-11-23T10:00:00Z for example, got '2026-11-23T10:00:00'."
    )


def test_aliases_are_understood_on_reading() -> None:
    rules = read_rules(
        parse(
            b'{"rules": [{"action": "promote", "target_type": "label", "target_key": "x", "boost_value": 1,'
            b' "namespace": "home"}, {"action": "exclude", "target_type": "brand", "target_key": "acme"}]}'
        )
    )

    assert [(rule.action, rule.target_type, rule.surface) for rule in rules] == [
        ("boost", "tag", "home"),
        ("block", "brand", None),
    ]
    assert [rule.target_tag() for rule in rules] == ["x", "brand:acme"]


def test_a_surface_overrides_section_by_section() -> None:
    config = read_config(
        parse(
            b'{"weights": {"pop": 2}, "limits": {"max_pins": 1}, "flags": {"enable_rules": false},'
            b' "surfaces": {"home": {"limits": {"fanout": 9}, "flags": {"enable_rules": true}}}}'
        )
    )

    home, cart = resolve(config, "home"), resolve(config, "cart")

    assert home.weights is not None
    assert (home.weights.pop, home.limits.fanout, home.limits.max_pins, home.enable_rules) == (2, 9, 3, True)
    assert (cart.limits.fanout, cart.limits.max_pins, cart.enable_rules) == (500, 1, False)
    assert resolve(Config(), "any").enable_rules


def test_the_table_of_kinds() -> None:
    assert list(KINDS) == ["config", "rules", "manifest"]
    assert [kind.version_field for kind in KINDS.values()] == ["config_version", "rules_version", "manifest_version"]
