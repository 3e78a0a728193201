"""The order of work: candidates → exclusions → constraints → scores → personalisation → rules → diversity → top k.

A list is short only when too few eligible items exist: filters come before every truncation, and when the caps leave
the first candidates short of k, more of them are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from recsys.domain.recommend import Notice, Options, RankedItem, RecommendRequest
from recsys.ranking import explain, kernel
from recsys.ranking.outcome import Outcome, find_outcome
from recsys.ranking.plan import Plan, make_plan, plan_notices
from recsys.ranking.sources import SOURCE_OF_MODE
from recsys.ranking.table import NO_BOUNDS, WORKSPACES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recsys.ranking.state import SurfaceState

ALGO_VERSION: Final = "recsys-1"
"""Raised whenever the same request, documents, data and time may give another answer than before."""

_NO_OPTIONS: Final = Options()
_ANSWERS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Ranking:
    """An answer without its meta data, not to be changed: many may get the same one, whose ``items`` are a tuple then.

    ``counts``: candidates, returned, pinned, and what each filter took out.
    """

    items: Sequence[RankedItem]
    counts: dict[str, int]
    warnings: list[Notice]
    trace: dict[str, Any] | None = None
    explain_item: dict[str, Any] | None = None


def rank(state: SurfaceState, request: RecommendRequest, now: datetime, subject: str | None = None) -> Ranking:
    """Answer a request; ``now`` (with a zone) decides rule windows and nothing else.

    ``subject``: the user's key in the surface's lists and histories. Explanations are read off afterwards, so asking
    for them cannot change the answer.
    """
    plan = make_plan(state, request, now, subject)
    if not _is_for_everybody(plan):
        return _rank(plan)
    known = state.answers
    key = (plan.active.when, request.k, plan.algorithm, request.weights)  # as given: a notice may be about them
    found = known.get(key)
    if found is None:
        if len(known) >= _ANSWERS_KEPT:
            known.clear()
        ranked = _rank(plan)
        found = known[key] = replace(ranked, items=tuple(ranked.items))
    return found


def _is_for_everybody(plan: Plan) -> bool:
    """Whether nothing of the request but k, algorithm and weights says what is answered, or how it is told."""
    request, lists = plan.request, plan.state.signals.collab
    return (
        plan.anchors.given == 0
        and plan.excluded.size == 0
        and plan.included is None
        and plan.bounds is NO_BOUNDS
        and request.options == _NO_OPTIONS
        and (plan.subject is None or lists is None or lists.subjects.index(plan.subject) < 0)
    )


def _rank(plan: Plan) -> Ranking:
    state, request = plan.state, plan.request
    workspace, give_back = WORKSPACES.take(len(state.signals.ids), len(state.signals.tags))
    try:
        outcome = find_outcome(plan, workspace)
        options = request.options
        return Ranking(
            items=_ranked(plan, outcome),
            counts=outcome.counts,
            warnings=[*plan_notices(plan), *_notices(plan, outcome)],
            trace=explain.trace(plan, outcome) if options.include_trace else None,
            explain_item=explain.explain_item(plan, outcome, options.explain_item) if options.explain_item else None,
        )
    finally:
        give_back(workspace)


def _ranked(plan: Plan, outcome: Outcome) -> list[RankedItem]:
    options = plan.request.options
    item_ids = plan.state.signals.ids.texts(outcome.items)
    if options.explain == "none" and not options.include_reasons:
        return [
            RankedItem(item_id=item_id, rank=at, score=score)
            for at, (item_id, score) in enumerate(zip(item_ids, outcome.scores, strict=True), 1)
        ]
    return [
        RankedItem(
            item_id=item_id,
            rank=at,
            score=score,
            reasons=explain.reasons(plan, outcome, entry) if options.include_reasons else [],
            explain=None if options.explain == "none" else explain.explanation(plan, outcome, entry),
        )
        for at, (item_id, score, entry) in enumerate(zip(item_ids, outcome.scores, outcome.chosen, strict=True), 1)
    ]


def _notices(plan: Plan, outcome: Outcome) -> Iterator[Notice]:
    mode = plan.algorithm
    if mode not in ("blend", "popularity") and outcome.baseline_name != mode:
        has_data = SOURCE_OF_MODE[mode] in plan.state.sources
        why = "has no candidates for this request" if has_data else "has no data on this surface"
        yield Notice("SIGNAL_UNAVAILABLE", f"{mode} {why}; popularity took its place.")
    included = plan.request.candidates.include_ids
    if included is not None:
        asked, left = len(set(included)), outcome.candidates
        if left < asked:
            yield Notice(
                "CANDIDATES_INCLUDE_FILTERED", f"{asked - left} of {asked} include_ids are unknown or filtered out."
            )
        if not left:
            yield Notice("CANDIDATES_INCLUDE_EMPTY", "None of the include_ids is left as a candidate.")
    if plan.narrowed or outcome.tally[kernel.VERDICTS + kernel.CONSTRAINED]:
        yield Notice("CONSTRAINTS_FILTERED", "Items that do not satisfy the constraints were left out.")
    if outcome.injected:
        names = ", ".join(plan.state.signals.ids.texts(outcome.injected))
        yield Notice("RULE_PIN_INJECTED", f"Pinned without being a candidate: {names}.")
