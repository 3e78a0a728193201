"""The order of work: candidates → exclusions → constraints → scores → personalisation → rules → diversity → top k.

A list is short only when too few eligible items exist: filters come before every truncation, and when the caps leave
the first candidates short of k, more of them are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recsys.domain.recommend import Notice, RankedItem, RecommendRequest
from recsys.ranking import diversity, explain
from recsys.ranking.arrays import Indices, Positions, SparseScores, Values, contains
from recsys.ranking.candidates import Drawn, draw, draw_included
from recsys.ranking.outcome import Outcome, Scored
from recsys.ranking.plan import Plan, make_plan, plan_notices
from recsys.ranking.scores import blend, boosted, norm, personalise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recsys.ranking.state import SurfaceState

ALGO_VERSION: Final = "recsys-1"
"""Raised whenever the same request, documents, data and time may give another answer than before."""

_WIDEN = 4


@dataclass(frozen=True, slots=True)
class Ranking:
    """An answer without its meta data. ``counts``: candidates, returned, pinned, and what each filter took out."""

    items: list[RankedItem]
    counts: dict[str, int]
    warnings: list[Notice]
    trace: dict[str, Any] | None = None
    explain_item: dict[str, Any] | None = None


def rank(state: SurfaceState, request: RecommendRequest, now: datetime) -> Ranking:
    """Answer a request; ``now`` (with a zone) decides rule windows and nothing else.

    Explanations are read off afterwards, so asking for them cannot change the answer.
    """
    plan = make_plan(state, request, now)
    outcome = find_answer(plan)
    options = request.options
    return Ranking(
        items=_ranked(plan, outcome),
        counts=_counts(plan, outcome),
        warnings=[*plan_notices(plan), *_notices(plan, outcome)],
        trace=explain.trace(plan, outcome) if options.include_trace else None,
        explain_item=explain.explain_item(plan, outcome, options.explain_item) if options.explain_item else None,
    )


def find_answer(plan: Plan) -> Outcome:
    """Draw, score and choose, with more candidates each time until k are found or no eligible item is left."""
    fanout = plan.state.settings.limits.fanout
    while True:
        if plan.included is None:
            drawn = draw(plan.state.popularity, plan.filters, plan.active.boost_order, plan.neighbours, fanout)
        else:
            drawn = draw_included(plan.filters, plan.included)
        scored = score(plan, drawn)
        answer = _choose(plan, scored)
        if answer.size >= plan.request.k or drawn.exhausted:
            return Outcome(drawn, scored, answer, fanout)
        fanout *= _WIDEN


def score(plan: Plan, drawn: Drawn) -> Scored:
    """Score the candidates and the pins."""
    state = plan.state
    items = drawn.items
    if plan.pins.size:
        items = np.union1d(items, plan.pins)
    name, own = _baseline(plan, drawn)
    cooc = plan.recalls["cooc"].at(items)
    baseline = state.popularity.scores[items] if own is None else own.at(items)
    semantic = _semantic(plan, items)
    blended = blend(plan.weights, baseline, cooc, semantic)
    settings = state.settings.personalization
    personalised = personalise(blended, items, state.signals.item_tags, plan.anchors, settings)
    final = boosted(personalised, plan.active.boosts.at(items)) if plan.active.lifts else personalised
    return Scored(items, name, baseline, cooc, semantic, blended, personalised, final)


def _baseline(plan: Plan, drawn: Drawn) -> tuple[str, SparseScores | None]:
    """The mode's own signal where it found candidates, else popularity (None)."""
    own = plan.recalls.get(plan.algorithm)
    if own is not None and contains(own.indices, drawn.items).any():
        return plan.algorithm, own
    return "popularity", None


def _semantic(plan: Plan, items: Indices) -> Values | None:
    """The γ term: max(emb, norm(collab), norm(content), norm(session)) over those that there are."""
    parts = [norm(plan.recalls[name].at(items)) for name in ("collab", "content", "session") if name in plan.recalls]
    if "emb" in plan.recalls:
        parts.append(np.clip(plan.recalls["emb"].at(items), 0.0, 1.0))
    return np.maximum.reduce(parts) if parts else None


def _choose(plan: Plan, scored: Scored) -> Positions:
    k, mmr_lambda = plan.request.k, plan.state.settings.diversity.mmr_lambda
    pins = scored.items.searchsorted(plan.pins)
    others = np.arange(scored.items.size)
    if pins.size:
        others = np.delete(others, pins)
    if not (mmr_lambda or plan.caps.any()):
        return np.concatenate((pins, others[diversity.top(scored.final[others], k - pins.size)]))
    order = np.concatenate((pins, others[diversity.by_score(scored.final[others])]))
    chosen = diversity.select(
        plan.state.signals, scored.items[order], scored.final[order], pins.size, k, plan.caps, mmr_lambda
    )
    return order[chosen]


def _ranked(plan: Plan, outcome: Outcome) -> list[RankedItem]:
    ids, scored, options = plan.state.signals.ids, outcome.scored, plan.request.options
    positions = outcome.answer.tolist()
    item_ids = ids.texts(scored.items[outcome.answer].tolist())
    scores = scored.final[outcome.answer].tolist()
    return [
        RankedItem(
            item_id=item_id,
            rank=at,
            score=value,
            reasons=explain.reasons(plan, scored, position) if options.include_reasons else [],
            explain=None if options.explain == "none" else explain.explanation(plan, scored, position),
        )
        for at, (position, item_id, value) in enumerate(zip(positions, item_ids, scores, strict=True), 1)
    ]


def _counts(plan: Plan, outcome: Outcome) -> dict[str, int]:
    return {
        "candidates": int(outcome.drawn.items.size),
        "returned": int(outcome.answer.size),
        "pinned": int(plan.pins.size),
        **plan.filters.counts(),
    }


def _notices(plan: Plan, outcome: Outcome) -> Iterator[Notice]:
    mode = plan.algorithm
    if mode not in ("blend", "popularity") and outcome.scored.baseline_name != mode:
        why = "has no candidates for this request" if mode in plan.recalls else "has no data on this surface"
        yield Notice("SIGNAL_UNAVAILABLE", f"{mode} {why}; popularity took its place.")
    included = plan.request.candidates.include_ids
    if included is not None:
        asked, left = len(set(included)), outcome.drawn.items.size
        if left < asked:
            yield Notice(
                "CANDIDATES_INCLUDE_FILTERED", f"{asked - left} of {asked} include_ids are unknown or filtered out."
            )
        if not left:
            yield Notice("CANDIDATES_INCLUDE_EMPTY", "None of the include_ids is left as a candidate.")
    if plan.filters.constrained():
        yield Notice("CONSTRAINTS_FILTERED", "Items that do not satisfy the constraints were left out.")
    injected = plan.pins[~contains(outcome.drawn.items, plan.pins)]
    if injected.size:
        names = ", ".join(plan.state.signals.ids.texts(injected.tolist()))
        yield Notice("RULE_PIN_INJECTED", f"Pinned without being a candidate: {names}.")
