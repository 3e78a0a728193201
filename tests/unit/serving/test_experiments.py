"""Variants really change ranking, the answer names them, and a caller may bring its own assignment."""

from __future__ import annotations

from typing import Any

import pytest

from recsys.domain.errors import Unprocessable
from recsys.domain.recommend import ExperimentChoice
from recsys.serving.answer import recommend, validate
from tests.support.surfaces import request
from tests.unit.serving.test_answer import call, snapshot

ONLY_ONE = {"name": "one", "config": {"limits": {"max_k": 1}}}
EXPERIMENT = {"id": "short", "variants": [ONLY_ONE]}
TWO_ARMS = {"id": "short", "traffic": 0, "variants": [ONLY_ONE, {"name": "all"}]}


def choice(variant: str, experiment: str = "short") -> dict[str, Any]:
    return {"experiment": {"id": experiment, "variant": variant}}


def test_a_variant_changes_the_answer_and_is_named_in_it() -> None:
    found = call(recommend, request(), snapshot({"experiments": [EXPERIMENT]}))

    assert len(found.items) == 1
    assert found.meta.experiments == [ExperimentChoice(id="short", variant="one")]
    assert call(recommend, request(), snapshot()).meta.experiments == []


def test_elsewhere_nothing_changes() -> None:
    found = call(recommend, request(), snapshot({"experiments": [EXPERIMENT | {"surface": "pdp"}]}))

    assert (len(found.items), found.meta.experiments) == (2, [])


def test_the_callers_assignment_holds_whatever_the_traffic_share_says() -> None:
    shot = snapshot({"experiments": [TWO_ARMS]})

    assert len(call(recommend, request(), shot).items) == 2
    assert len(call(recommend, request(**choice("one")), shot).items) == 1
    assert call(recommend, request(**choice("all")), shot).meta.experiments == [
        ExperimentChoice(id="short", variant="all")
    ]


@pytest.mark.parametrize("config", [{}, {"experiments": [EXPERIMENT | {"surface": "pdp"}]}])
def test_an_experiment_of_the_callers_own_is_only_told_of(config: dict[str, Any]) -> None:
    found = call(recommend, request(**choice("x", "theirs")), snapshot(config))

    assert (len(found.items), found.meta.experiments) == (2, [ExperimentChoice(id="theirs", variant="x")])


@pytest.mark.parametrize("function", [recommend, validate])
def test_an_unknown_variant_is_named_with_those_that_there_are(function: Any) -> None:
    with pytest.raises(Unprocessable, match="has no variant 'onne'") as caught:
        call(function, request(**choice("onne")), snapshot({"experiments": [EXPERIMENT]}))
    assert caught.value.faults[0].did_you_mean == "one"


def test_of_two_experiments_the_later_wins_section_by_section() -> None:
    later = {"id": "later", "variants": [{"name": "b", "config": {"algorithm": "popularity"}}]}
    latest = {"id": "latest", "variants": [{"name": "c", "config": {"limits": {"max_k": 2}}}]}
    shot = snapshot({"experiments": [EXPERIMENT, later, latest]})

    found = call(validate, request(), shot)

    assert found.normalized_request["algorithm"] == "popularity"
    assert len(call(recommend, request(), shot).items) == 2
    assert [each.id for each in found.meta.experiments] == ["short", "later", "latest"]
