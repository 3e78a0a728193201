"""Answers to held-out questions, by the code that answers requests, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.domain.recommend import Anchors, RecommendRequest
from recsys.evaluation.interval import Interval, bootstrap
from recsys.evaluation.metrics import ndcg, recall
from recsys.ranking.pipeline import rank
from recsys.ranking.state import compose_surface

if TYPE_CHECKING:
    from recsys.domain.config import SurfaceSettings
    from recsys.evaluation.holdout import Case
    from recsys.ranking.state import SurfaceState
    from recsys.serving.snapshot import SignalPart

Metric = Callable[[Sequence[str], frozenset[str], int], float]
_ANY_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Time decides rules only, and there are none."""


class Worth(NamedTuple):
    """What answers are worth, case by case (float64, in the order of the cases) and on average."""

    recalls: npt.NDArray[np.float64]
    ndcgs: npt.NDArray[np.float64]
    recall: Interval
    ndcg: Interval


def compose_plain(part: SignalPart, settings: SurfaceSettings) -> SurfaceState:
    """A surface as it is served, without rules: what somebody decided by hand is nothing that weights can learn."""
    return compose_surface(part.signals, part.popularity(settings.popularity.half_life_days), settings, ())


def answer_cases(state: SurfaceState, cases: Sequence[Case], k: int) -> list[list[str]]:
    """The items that each case is answered with, best first."""
    surface = state.signals.surface
    answers = []
    for case in cases:
        request = RecommendRequest(surface=surface, k=k, anchors=Anchors(item_ids=list(case.anchors)))
        answers.append([item.item_id for item in rank(state, request, _ANY_TIME, case.subject).items])
    return answers


def judge(answers: Sequence[Sequence[str]], cases: Sequence[Case], k: int) -> Worth:
    """Compare answers with what came then.

    Raises:
        ValueError: there are no cases, or not one answer for each.
    """

    def each(metric: Metric) -> npt.NDArray[np.float64]:
        return np.array([metric(items, case.truth, k) for items, case in zip(answers, cases, strict=True)])

    recalls, ndcgs = each(recall), each(ndcg)
    return Worth(recalls, ndcgs, bootstrap(recalls), bootstrap(ndcgs))
