from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recsys.domain.document import DocumentRef
from recsys.serving.lint import lint
from recsys.serving.snapshot import SnapshotCatalogue, build_part
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
        ({"exclude": {"event_types": ["purchase"]}}, [("NOT_YET_EFFECTIVE", "/exclude")]),
        ({"algorithm": "implicit"}, [("NOT_YET_EFFECTIVE", "/algorithm")]),
        ({"flags": {"enable_rulez": True}}, [("UNKNOWN_FLAG", "/flags")]),
        ({"surfaces": {"nowhere": {}}}, [("NO_DATA", "/surfaces/nowhere")]),
        ({"surfaces": {"home": {"weights": {"pop": 0}}}}, [("ALL_WEIGHTS_ZERO", "/surfaces/home/weights")]),
    ],
    ids=str,
)
def test_config(config: dict[str, Any], lints: list[tuple[str, str]]) -> None:
    assert found("config", config) == lints


@pytest.mark.parametrize("kind", ["config", "rules"])
def test_what_cannot_be_read_is_one_warning(kind: str) -> None:
    assert found(kind, {"from_the_future": 1, "and": 2}) == [("UNREADABLE", "")]


def test_a_manifest_for_a_surface_without_data() -> None:
    assert found("manifest", {}, "nowhere") == [("NOT_YET_EFFECTIVE", "/current"), ("NO_DATA", "/surface")]
    assert found("manifest", {}, "home") == [("NOT_YET_EFFECTIVE", "/current")]
