from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from recsys.domain.document import DocumentRef, Lint
from recsys.ranking.arrays import as_indices
from recsys.ranking.history import UserLists, build_history
from recsys.ranking.ids import make_ids
from recsys.serving.lint import lint
from recsys.serving.snapshot import SignalPart, SnapshotCatalogue, build_part
from tests.support.surfaces import NOW, item, rows

CATALOGUE = SnapshotCatalogue(
    {"home": build_part(rows([item("a", "red", brand="x"), item("b", "red"), item("c", "blue")]))}
)
BLOCK = {"action": "block", "target_type": "item", "target_key": "a"}
PAST, FUTURE = ((NOW + timedelta(days=n)).isoformat() for n in (-1, 1))


def found(kind: str, value: Any, surface: str = "") -> list[tuple[str, str]]:
    return [(each.code, each.pointer) for each in lint(DocumentRef(kind, surface), value, CATALOGUE, NOW)]


@pytest.mark.parametrize(
    ("rule", "code", "at"),
    [
        ({"enabled": False}, "RULE_DISABLED", "/enabled"),
        ({"valid_until": PAST}, "WINDOW_OVER", "/valid_until"),
        ({"valid_until": NOW.isoformat()}, "WINDOW_OVER", "/valid_until"),
        ({"valid_from": FUTURE}, "WINDOW_NOT_OPEN", "/valid_from"),
        ({"target_key": "zz"}, "UNKNOWN_ITEM", "/target_key"),
        ({"item_ids": ["a", "zz"]}, "UNKNOWN_ITEM", "/item_ids"),
        ({"target_type": "brand", "target_key": "y"}, "UNKNOWN_TAG", "/target_key"),
        ({"surface": "nowhere"}, "NO_DATA", "/surface"),
    ],
    ids=str,
)
def test_rules(rule: dict[str, Any], code: str, at: str) -> None:
    assert found("rules", [BLOCK, BLOCK | rule]) == [(code, f"/1{at}")]
    assert found("rules", {"rules": [BLOCK | rule]}) == [(code, f"/rules/0{at}")]


RED = {"action": "block", "target_type": "tag", "target_key": "red"}


@pytest.mark.parametrize(
    ("rules", "mostly"),
    [
        ([BLOCK], False),
        ([RED], True),
        ([BLOCK, BLOCK | {"target_key": "b"}], True),
        ([RED | {"segment": "new_users"}], False),
        ([RED | {"surface": "home"}], True),
        ([RED | {"action": "boost", "boost_value": 1}], False),
    ],
)
def test_rules_that_empty_a_surface(rules: list[dict[str, Any]], *, mostly: bool) -> None:
    assert (("MOSTLY_BLOCKED", "") in found("rules", rules)) is mostly


@pytest.mark.parametrize(
    "rule", [{}, {"valid_from": NOW.isoformat()}, {"target_type": "brand", "target_key": "x"}], ids=str
)
def test_rules_that_do_what_they_say(rule: dict[str, Any]) -> None:
    assert found("rules", [BLOCK | rule]) == []


@pytest.mark.parametrize(
    ("config", "lints"),
    [
        ({}, []),
        ({"weights": {"pop": 0}}, [("ALL_WEIGHTS_ZERO", "/weights")]),
        ({"guard": {"x": 1}}, [("NOT_YET_EFFECTIVE", "/guard")]),
        ({"surfaces": {"nowhere": {"algorithm": "implicit"}}}, [("NO_DATA", "/surfaces/nowhere")]),
        ({"flags": {"enable_rulez": True}}, [("UNKNOWN_FLAG", "/flags")]),
        ({"surfaces": {"nowhere": {}}}, [("NO_DATA", "/surfaces/nowhere")]),
        ({"flags": {"enable_rules": True}}, []),
        ({"flags": {"enable_rules": False}}, [("RULES_OFF", "/flags/enable_rules")]),
        (
            {"surfaces": {"home": {"flags": {"enable_rules": False}}}},
            [("RULES_OFF", "/surfaces/home/flags/enable_rules")],
        ),
        ({"surfaces": {"home": {"weights": {"pop": 0}}}}, [("ALL_WEIGHTS_ZERO", "/surfaces/home/weights")]),
    ],
    ids=str,
)
def test_config(config: dict[str, Any], lints: list[tuple[str, str]]) -> None:
    assert found("config", config) == lints


@pytest.mark.parametrize(
    ("experiment", "lints"),
    [
        ({"surface": "home", "starts_at": NOW.isoformat(), "ends_at": FUTURE, "traffic": 0.1}, []),
        ({"surface": "hme"}, [("NO_DATA", "/surface")]),
        ({"traffic": 0}, [("NO_TRAFFIC", "/traffic")]),
        ({"ends_at": NOW.isoformat()}, [("WINDOW_OVER", "/ends_at")]),
        ({"starts_at": FUTURE}, [("WINDOW_NOT_OPEN", "/starts_at")]),
    ],
    ids=str,
)
def test_experiments_that_nobody_takes_part_in(experiment: dict[str, Any], lints: list[tuple[str, str]]) -> None:
    runs = {"id": "x", "variants": [{"name": "a"}]}
    config = {"experiments": [runs, runs | experiment]}
    assert found("config", config) == [(code, f"/experiments/1{at}") for code, at in lints]


NEEDS = [
    ({"exclude": {"event_types": ["purchase"]}}, "exclude", "a user history"),
    ({"algorithm": "implicit"}, "algorithm", "a collaborative list per user"),
    ({"algorithm": "content_sim"}, "algorithm", "a list of items alike in content"),
    ({"algorithm": "session_seq"}, "algorithm", "a list of next items"),
]
NOTHING = {"algorithm": "cooc", "exclude": {"event_types": []}}


def said(config: dict[str, Any], *fed: str, among: Mapping[str, SignalPart] = CATALOGUE.parts) -> list[Lint]:
    """What is said of a config where some of the surfaces have been fed every signal."""
    parts = {name: full(part) if name in fed else part for name, part in among.items()}
    return lint(DocumentRef("config"), config, SnapshotCatalogue(parts), NOW)


def full(part: SignalPart) -> SignalPart:
    lists = part.signals.cooc
    users = UserLists(make_ids(["u"]), lists)
    history = build_history(["u"], as_indices([0]), ["view"], np.zeros(1, np.int64))
    return SignalPart(replace(part.signals, emb=lists, content=lists, session=lists, collab=users, history=history))


BOTH = {"pdp": CATALOGUE.parts["home"], "home": CATALOGUE.parts["home"]}


@pytest.mark.parametrize(("config", "field", "data"), NEEDS, ids=str)
def test_what_no_surface_has_the_data_for(config: dict[str, Any], field: str, data: str) -> None:
    for among in (CATALOGUE.parts, {}):
        (warning,) = said(config, among=among)
        assert (warning.code, warning.pointer) == ("SIGNAL_UNAVAILABLE", f"/{field}")
        assert warning.detail.startswith(f"{field} needs {data}, which comes with artifacts. No surface has one yet. ")


@pytest.mark.parametrize(("config", "field", "data"), NEEDS, ids=str)
def test_what_some_surfaces_have_the_data_for(config: dict[str, Any], field: str, data: str) -> None:
    assert said(config, "home", "pdp", among=BOTH) == []
    (warning,) = said(config, "home", among=BOTH)
    assert (warning.code, warning.pointer) == ("SIGNAL_UNAVAILABLE", f"/{field}")
    assert data in warning.detail
    assert "These surfaces have none: pdp." in warning.detail
    assert said(config | {"surfaces": {"pdp": NOTHING}}, "home", among=BOTH) == []


@pytest.mark.parametrize(("config", "field", "data"), NEEDS, ids=str)
def test_what_one_surface_is_told_to_do(config: dict[str, Any], field: str, data: str) -> None:
    for_pdp = {"surfaces": {"pdp": config}}
    assert said(for_pdp, "pdp", among=BOTH) == []
    (warning,) = said(for_pdp, "home", among=BOTH)
    assert (warning.code, warning.pointer) == ("SIGNAL_UNAVAILABLE", f"/surfaces/pdp/{field}")
    assert f"{data}, which comes with artifacts. This surface has none yet." in warning.detail


@pytest.mark.parametrize("config", [NOTHING, {"algorithm": "popularity"}, {"algorithm": "blend"}], ids=str)
def test_what_needs_no_artifact(config: dict[str, Any]) -> None:
    assert said(config) == []


@pytest.mark.parametrize("kind", ["config", "rules"])
def test_what_cannot_be_read_is_one_warning(kind: str) -> None:
    assert found(kind, {"from_the_future": 1, "and": 2}) == [("UNREADABLE", "")]


@pytest.mark.parametrize(
    ("surface", "kinds", "expected"),
    [
        ("home", ["popularity"], []),
        ("home", ["cooc"], ["popularity"]),
        ("nowhere", ["popularity", "catalog"], []),
        ("nowhere", ["popularity"], ["catalog"]),
    ],
)
def test_a_manifest_that_leaves_out_what_most_requests_need(
    surface: str, kinds: list[str], expected: list[str]
) -> None:
    document: Any = {"v": 1, "tenant": "t", "surface": surface, "current": dict.fromkeys(kinds, "sha256:00")}
    warnings = lint(DocumentRef("manifest", surface), document, CATALOGUE, NOW)
    assert [(each.code, each.pointer) for each in warnings] == [("SIGNAL_UNAVAILABLE", "/current")] * len(expected)
    for warning, kind in zip(warnings, expected, strict=True):
        assert f"names no {kind}" in warning.detail
