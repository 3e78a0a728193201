"""The two formats of exposures."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from recsys.domain.exposure import Exposure, eval_lines, service_lines
from recsys.domain.recommend import AnswerMeta, ExperimentChoice, RankedItem

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ITEMS = [RankedItem(item_id="b", rank=1, score=2.5), RankedItem(item_id="a", rank=2, score=0.5, reasons=["pop"])]
AB, COLOUR = ExperimentChoice(id="ab", variant="b"), ExperimentChoice(id="colour", variant="red")


def meta(*experiments: ExperimentChoice) -> AnswerMeta:
    return AnswerMeta(
        tenant_id="t1", surface="home", segment="vip", algo_version="recsys-1", config_version="c" * 64,
        rules_version=None, manifest_version=None, revision=7, data_revision=3, request_id="r-1",
        experiments=list(experiments), counts={"returned": 2}, timings_ms={"total": 1.0},
    )  # fmt: skip


def lines(format_: Any, *experiments: ExperimentChoice, items: list[RankedItem] = ITEMS) -> list[Any]:
    shown = meta(*experiments)
    sent = (msgspec.Raw(msgspec.json.encode(items)), msgspec.Raw(msgspec.json.encode(shown)))
    exposure = Exposure(NOW, "recommend", "4e1d", 20, items, shown, *sent)
    written = format_(exposure)
    assert written.endswith(b"\n")
    return [msgspec.json.decode(line) for line in written.splitlines()]


def test_service_v1_is_one_line_with_all_that_produced_the_answer() -> None:
    assert lines(service_lines, AB, COLOUR) == [
        {
            "schema": "service_v1",
            "time": "2026-03-01T12:00:00.250000Z",
            "endpoint": "recommend",
            "subject": "4e1d",
            "k": 20,
            "items": [
                {"item_id": "b", "rank": 1, "score": 2.5},
                {"item_id": "a", "rank": 2, "score": 0.5, "reasons": ["pop"]},
            ],
            "meta": msgspec.to_builtins(meta(AB, COLOUR)),
        }
    ]


def test_eval_v1_is_one_flat_line_per_experiment() -> None:
    line = {
        "schema": "eval_v1",
        "time": "2026-03-01T12:00:00.250000Z",
        "request_id": "r-1",
        "tenant_id": "t1",
        "surface": "home",
        "subject": "4e1d",
        "experiment": None,
        "variant": None,
        "items": [{"item_id": "b", "rank": 1}, {"item_id": "a", "rank": 2}],
    }
    assert lines(eval_lines) == [line]
    assert lines(eval_lines, AB, COLOUR) == [
        line | {"experiment": "ab", "variant": "b"},
        line | {"experiment": "colour", "variant": "red"},
    ]


def test_an_empty_list_is_an_exposure_too() -> None:
    assert [line["items"] for format_ in (service_lines, eval_lines) for line in lines(format_, items=[])] == [[], []]
