"""Why an answer is what it is; read off the finished work, never part of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.domain.recommend import Explanation
from recsys.ranking.arrays import as_indices
from recsys.ranking.rules import hits
from recsys.ranking.scores import norm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.ranking.constraints import Filter
    from recsys.ranking.outcome import Outcome, Scored
    from recsys.ranking.plan import Plan


def explanation(plan: Plan, scored: Scored, position: int) -> Explanation:
    """``summary``: what each step adds to the score; ``full``: raw and normalised values and the matching rules too."""
    steps = {
        "personalization": float(scored.personalised[position] - scored.blended[position]),
        "boost": float(scored.final[position] - scored.personalised[position]),
    }
    parts = dict(_parts(plan, scored, position))
    if plan.request.options.explain == "summary":
        return Explanation(signals={name: part["contribution"] for name, part in parts.items()} | steps)
    return Explanation(signals=parts | steps, rules=plan.active.matching(int(scored.items[position])))


def reasons(plan: Plan, scored: Scored, position: int) -> list[str]:
    """Short phrases for people, the strongest kind first: pins, boosts, co-visitation, tags, popularity."""
    item = int(scored.items[position])
    found = list(_rule_reasons(plan, item))
    if scored.cooc[position] > 0 and (anchor := _closest_anchor(plan, item)):
        found.append(f"bought with {anchor}")
    if scored.personalised[position] > scored.blended[position]:
        found.append("shares tags with the anchors")
    if plan.state.popularity.scores[item] > 0:
        found.append("popular")
    return found


def trace(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """How many items each source gave and each stage took, and with which settings."""
    weights = plan.weights
    return {
        "algorithm": plan.algorithm,
        "baseline": outcome.scored.baseline_name,
        "weights": {"pop": weights.pop, "cooc": weights.cooc, "emb": weights.emb},
        "fanout": outcome.fanout,
        "anchors": {"given": len(plan.anchors.item_ids), "known": int(plan.anchors.indices.size)},
        "sources": {name: int(items.size) for name, items in outcome.drawn.sources.items()}
        | {"pinned": int(plan.pins.size)},
        "removed": plan.filters.counts(),
        "rules": {
            "blocks": len(plan.active.blocks),
            "pins": len(plan.active.pins),
            "boosts": len(plan.active.lifts),
        },
        "candidates": int(outcome.drawn.items.size),
        "returned": int(outcome.answer.size),
    }


def explain_item(plan: Plan, outcome: Outcome, item_id: str) -> dict[str, Any]:
    """Where one item fell out of the work, or its rank.

    ``outcome`` is one of unknown, excluded, anchor, blocked, constrained, not_included, not_a_candidate, capped,
    diversified, below_top_k, answered; ``detail`` says it in words.
    """
    index = plan.state.signals.ids.index(item_id)
    if index < 0:
        return {"item_id": item_id, "outcome": "unknown", "detail": "The surface has no data about this item."}
    said: dict[str, Any] = {"item_id": item_id, "rules": plan.active.matching(index)}
    if fault := plan.filters.fault(index):
        return said | _filtered(plan, fault, index)
    position = int(outcome.scored.items.searchsorted(index))
    if position < outcome.scored.items.size and outcome.scored.items[position] == index:
        return said | _scored(plan, outcome, position)
    if plan.included is not None:
        return said | {"outcome": "not_included", "detail": "candidates.include_ids does not name it."}
    return said | {
        "outcome": "not_a_candidate",
        "detail": f"Not among the {outcome.fanout} most popular eligible items, anchors' neighbours and boosted items.",
    }


def _parts(plan: Plan, scored: Scored, position: int) -> Iterator[tuple[str, dict[str, float]]]:
    weights = plan.weights
    baseline_name = "pop" if scored.baseline_name == "popularity" else scored.baseline_name
    own_name = baseline_name if baseline_name != "cooc" else "baseline"  # cooc stands for its own β term
    yield own_name, _part(scored.baseline[position], norm(scored.baseline[[position]])[0], weights.pop)
    yield "cooc", _part(scored.cooc[position], norm(scored.cooc[[position]])[0], weights.cooc)
    if scored.semantic is not None:
        yield "emb", _part(scored.semantic[position], scored.semantic[position], weights.emb)


def _part(raw: float, normalised: float, weight: float) -> dict[str, float]:
    return {
        "raw": float(raw),
        "normalised": float(normalised),
        "weight": float(weight),
        "contribution": float(weight * normalised),
    }


def _rule_reasons(plan: Plan, item: int) -> Iterator[str]:
    pinned = item in plan.pins
    yield from (f"pinned by {rule.name}" for rule in plan.active.pins if pinned and hits(rule, item))
    for rule in plan.active.lifts:
        if rule.rule.boost_value and hits(rule, item):
            yield f"{'boosted' if rule.rule.boost_value > 0 else 'buried'} by {rule.name}"


def _closest_anchor(plan: Plan, item: int) -> str | None:
    """The anchor that contributes most to cooc(i); the latest of equals."""
    signals, best, closest = plan.state.signals, 0.0, None
    for index, weight in zip(plan.anchors.indices.tolist(), plan.anchors.weights.tolist(), strict=True):
        neighbours, counts = signals.cooc.row(index)
        at = int(neighbours.searchsorted(item))
        if at < neighbours.size and neighbours[at] == item and weight * counts[at] >= best:
            best, closest = float(weight * counts[at]), signals.ids.text(index)
    return closest


def _filtered(plan: Plan, fault: Filter, index: int) -> dict[str, Any]:
    if fault.stage == "blocked":
        names = ", ".join(rule.name for rule in plan.active.blocks if hits(rule, index))
        return {"outcome": "blocked", "detail": f"Blocked by {names}."}
    outcome = {"excluded": "excluded", "anchors": "anchor", "constrained": "constrained"}[fault.stage]
    return {"outcome": outcome, "detail": f"Does not pass {fault.name}."}


def _scored(plan: Plan, outcome: Outcome, position: int) -> dict[str, Any]:
    score = float(outcome.scored.final[position])
    answered = outcome.answer.tolist()
    if position in answered:
        return {"outcome": "answered", "score": score, "rank": answered.index(position) + 1, "detail": "In the answer."}
    rank, k = _rank_by_score(plan, outcome, position), plan.request.k
    if full := _full_tags(plan, outcome, position):
        return {
            "outcome": "capped",
            "score": score,
            "rank": rank,
            "detail": f"The answer is full of {', '.join(full)}.",
        }
    if rank <= k:
        detail = f"Rank {rank} by score, but too like items that were chosen before it."
        return {"outcome": "diversified", "score": score, "rank": rank, "detail": detail}
    return {"outcome": "below_top_k", "score": score, "rank": rank, "detail": f"Rank {rank} by score; k is {k}."}


def _rank_by_score(plan: Plan, outcome: Outcome, position: int) -> int:
    """The rank without diversity and caps: pins, then what scores higher, then what scores alike with a lower id."""
    final = outcome.scored.final
    ahead = final > final[position]
    ahead[:position] |= final[:position] == final[position]
    ahead[outcome.scored.items.searchsorted(plan.pins)] = False
    return int(plan.pins.size + np.count_nonzero(ahead)) + 1


def _full_tags(plan: Plan, outcome: Outcome, position: int) -> list[str]:
    signals, items = plan.state.signals, outcome.scored.items
    _, carried = signals.item_tags.gather(items[outcome.answer])
    counts = Counter(carried.tolist())
    _, own = signals.item_tags.gather(as_indices([int(items[position])]))
    names = [(tag, signals.tags[tag]) for tag in own.tolist()]
    return [name for tag, name in names if (cap := plan.caps.of(name)) is not None and counts[tag] >= cap]
