"""Tuning: always the same way, through the code that serves, and nothing changes but the candidate."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from recsys.domain.canonical import canonicalise
from recsys.domain.config import SurfaceSettings, read_config, resolve
from recsys.evaluation.holdout import Case
from recsys.evaluation.search import Search, Tuned
from recsys.evaluation.served import answer_cases, compose_plain, judge
from recsys.evaluation.tuned import TuneReport, as_markdown, candidate_config, tried_row
from recsys.ranking.signals import SurfaceSignals
from recsys.serving.snapshot import SignalPart
from tests.support.surfaces import ask, ids, rows, settings_of, surface

POPULAR = {f"i{number}": 10.0 - number for number in range(6)}
NEAR = {("a", "i5"): 3.0, ("a", "i4"): 2.0, ("b", "i3"): 3.0}
FAR = {("a", "i0"): 3.0, ("b", "i1"): 1.0}
CASES = [Case(None, ("a",), frozenset({"i5", "i4"})), Case(None, ("b",), frozenset({"i3"}))]
IN_FORCE, BETTER = ("count", "rp3beta"), ("cosine", "rp3beta")


def signals_of(cooc: dict[tuple[str, str], float]) -> SurfaceSignals:
    return surface(rows(popular=POPULAR, cooc=cooc)).signals


SIGNALS = {IN_FORCE: signals_of(FAR), BETTER: signals_of(NEAR)}


def tuned(
    settings: SurfaceSettings | None = None, signals: Mapping[tuple[str, str], SurfaceSignals] = SIGNALS
) -> Tuned:
    return Search(signals, settings or settings_of(), CASES, 2).run()


def test_the_signals_that_find_what_came_then_are_chosen() -> None:
    found = tuned()
    assert found.best.choice.signals == BETTER
    assert found.current.choice.signals == IN_FORCE
    assert found.best.worth.ndcg.mean == 1.0
    assert found.gain.mean == pytest.approx(1.0 - found.current.worth.ndcg.mean)
    assert found.best.worth.ndcg.mean == max(trial.worth.ndcg.mean for trial in found.trials)


def test_two_searches_try_the_same_in_the_same_order_and_nothing_twice() -> None:
    first, second = tuned(), tuned()
    assert [tried_row(trial) for trial in first.trials] == [tried_row(trial) for trial in second.trials]
    choices = [trial.choice for trial in first.trials]
    assert len(choices) == len(set(choices))


def test_what_is_in_force_stays_when_nothing_is_better() -> None:
    settings = settings_of({"weights": {"cooc": 1.0}})
    found = tuned(settings, {BETTER: SIGNALS[BETTER]})
    assert found.best is found.current
    assert found.gain == (0.0, 0.0, 0.0)
    document = {"weights": {"cooc": 1.0}}
    assert candidate_config(document, "home", found) == document


def test_signals_are_asked_for_only_when_they_are_tried() -> None:
    asked = []

    class Watched(dict[tuple[str, str], SurfaceSignals]):
        def __getitem__(self, names: tuple[str, str]) -> SurfaceSignals:
            asked.append(tuple(names))
            return super().__getitem__(names)

    tuned(signals=Watched(SIGNALS | {("cosine", "als"): SIGNALS[BETTER]}))
    assert sorted(asked) == sorted(SIGNALS)  # no case has a user, so lists for users are not looked at


def test_the_answers_are_those_that_serving_gives() -> None:
    state = surface(rows(popular=POPULAR, cooc=NEAR), {"weights": {"pop": 0.1, "cooc": 1.0}})
    answers = answer_cases(state, CASES, 3)
    expected = [ids(ask(state, k=3, anchors={"item_ids": list(case.anchors)})) for case in CASES]
    assert answers == expected


def test_rules_take_no_part() -> None:
    signals = signals_of(NEAR)
    state = compose_plain(SignalPart(signals), settings_of())
    ruled = surface(
        rows(popular=POPULAR, cooc=NEAR), rules=[{"action": "block", "target_type": "item", "item_ids": ["i5"]}]
    )
    assert "i5" in answer_cases(state, CASES, 6)[0]
    assert "i5" not in answer_cases(ruled, CASES, 6)[0]


def test_worth_is_by_case_and_every_case_needs_an_answer() -> None:
    worth = judge([["i5", "x"], ["x"]], CASES, 2)
    assert np.array_equal(worth.recalls, [0.5, 0.0])
    with pytest.raises(ValueError):
        judge([["i5"]], CASES, 2)


def test_the_candidate_differs_in_what_was_tuned_for_this_surface_only() -> None:
    document: dict[str, Any] = {
        "algorithm": "popularity",
        "surfaces": {"home": {"limits": {"max_k": 50}}, "pdp": {"algorithm": "cooc"}},
        "exclude": {"event_types": ["purchase"]},
    }
    before = copy.deepcopy(document)
    found = tuned(resolve(read_config(document), "home"))
    candidate = candidate_config(document, "home", found)
    assert document == before
    changed = candidate["surfaces"].pop("home")
    assert changed.pop("limits") == {"max_k": 50}
    assert set(changed) <= {"algorithm", "weights", "anchors"}
    assert "algorithm" in changed
    before["surfaces"].pop("home")
    assert candidate == before
    read_config(candidate_config(document, "home", found))
    canonicalise(candidate)


@pytest.mark.parametrize("said", [{}, {"surfaces": None}, {"surfaces": {}}])
def test_a_config_that_says_nothing_of_surfaces_gets_one(said: dict[str, Any]) -> None:
    document = {"algorithm": "popularity"} | said
    candidate = candidate_config(document, "home", tuned(resolve(read_config(document), "home")))
    assert list(candidate["surfaces"]) == ["home"]


def test_applying_the_candidate_gives_the_answers_that_were_measured() -> None:
    found = tuned()
    settings = resolve(read_config(candidate_config({}, "home", found)), "home")
    state = compose_plain(SignalPart(SIGNALS[BETTER]), settings)
    assert np.array_equal(judge(answer_cases(state, CASES, 2), CASES, 2).ndcgs, found.best.worth.ndcgs)


def report(found: Tuned) -> Iterator[str]:
    made = TuneReport(
        tenant="shop", surface="home", segment=None, predict="sessions", train=("2026-01-01", "2026-01-09"),
        validation=("2026-01-10", "2026-01-12"), cases=2, k=2, current=tried_row(found.current),
        best=tried_row(found.best), gain=found.gain, clearly_better=found.gain.low > 0,
        tried=[tried_row(trial) for trial in found.trials],
    )  # fmt: skip
    yield from as_markdown(made).splitlines()


def test_the_report_shows_everything_that_was_tried_the_best_first() -> None:
    found = tuned()
    lines = [line for line in report(found) if line.startswith("| ")][1:]
    assert len(lines) == len(found.trials)
    assert "**best**" in lines[0]
    assert sum("in force" in line for line in lines) == 1
