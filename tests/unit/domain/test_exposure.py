"""The two formats of exposures."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from recsys.domain.exposure import Exposure, eval_lines, exposure_of, service_lines
from recsys.domain.recommend import (
    AnswerMeta,
    ExperimentChoice,
    RankedItem,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
    User,
)
from recsys.domain.subject import SubjectKeys

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
KEYS = SubjectKeys(b"0123456789abcdef")
ITEMS = [RankedItem(item_id="b", rank=1, score=2.5), RankedItem(item_id="a", rank=2, score=0.5, reasons=["pop"])]
RAW = msgspec.Raw(msgspec.json.encode(ITEMS))
AB, COLOUR = ExperimentChoice(id="ab", variant="b"), ExperimentChoice(id="colour", variant="red")


def meta(*experiments: ExperimentChoice) -> AnswerMeta:
    return AnswerMeta(
        tenant_id="t1", surface="home", segment="vip", algo_version="recsys-1", config_version="c" * 64,
        rules_version=None, manifest_version=None, revision=7, data_revision=3, request_id="r-1",
        experiments=list(experiments), counts={"returned": 2}, timings_ms={"total": 1.0},
    )  # fmt: skip


def lines(format_: Any, items: Any, *experiments: ExperimentChoice) -> list[Any]:
    exposure = Exposure(NOW, "recommend", User(user_id="ann"), 20, meta(*experiments), items)
    return [msgspec.json.decode(msgspec.json.encode(line)) for line in format_(exposure, KEYS)]


@pytest.mark.parametrize("items", [ITEMS, RAW], ids=["objects", "the JSON sent"])
def test_service_v1_is_one_line_with_all_that_produced_the_answer(items: Any) -> None:
    assert lines(service_lines, items, AB, COLOUR) == [
        {
            "schema": "service_v1",
            "time": "2026-03-01T12:00:00.250000Z",
            "request_id": "r-1",
            "tenant_id": "t1",
            "endpoint": "recommend",
            "surface": "home",
            "segment": "vip",
            "subject": KEYS.key("t1", "user_id", "ann"),
            "k": 20,
            "algo_version": "recsys-1",
            "config_version": "c" * 64,
            "rules_version": None,
            "manifest_version": None,
            "revision": 7,
            "data_revision": 3,
            "experiments": [{"id": "ab", "variant": "b"}, {"id": "colour", "variant": "red"}],
            "items": [
                {"item_id": "b", "rank": 1, "score": 2.5},
                {"item_id": "a", "rank": 2, "score": 0.5, "reasons": ["pop"]},
            ],
        }
    ]


@pytest.mark.parametrize("items", [ITEMS, RAW], ids=["objects", "the JSON sent"])
def test_eval_v1_is_one_flat_line_per_experiment(items: Any) -> None:
    line = {
        "schema": "eval_v1",
        "time": "2026-03-01T12:00:00.250000Z",
        "request_id": "r-1",
        "tenant_id": "t1",
        "surface": "home",
        "subject": KEYS.key("t1", "user_id", "ann"),
        "experiment": None,
        "variant": None,
        "items": [{"item_id": "b", "rank": 1}, {"item_id": "a", "rank": 2}],
    }
    assert lines(eval_lines, items) == [line]
    assert lines(eval_lines, items, AB, COLOUR) == [
        line | {"experiment": "ab", "variant": "b"},
        line | {"experiment": "colour", "variant": "red"},
    ]


@pytest.mark.parametrize("format_", [service_lines, eval_lines])
def test_similar_items_are_shown_to_nobody_known(format_: Any) -> None:
    answer = RecommendResponse(items=ITEMS, meta=meta(), warnings=[])
    exposure = exposure_of(SimilarRequest(surface="home", item_id="x", k=5), answer, NOW)
    (line,) = format_(exposure, KEYS)
    assert (exposure.endpoint, exposure.k, line.subject) == ("similar", 5, None)


def test_an_empty_list_is_an_exposure_too() -> None:
    request = RecommendRequest(surface="home", user=User(session_id="s"))
    exposure = exposure_of(request, RecommendResponse(items=[], meta=meta(), warnings=[]), NOW)
    (line,) = eval_lines(exposure, KEYS)
    assert (line.items, line.subject) == ([], KEYS.key("t1", "session_id", "s"))
