"""Why an answer is what it is; read off the finished work, never part of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recsys.domain.recommend import Explanation
from recsys.ranking import kernel
from recsys.ranking.arrays import as_indices
from recsys.ranking.constraints import violated
from recsys.ranking.rules import hits
from recsys.ranking.scores import norm_one
from recsys.ranking.table import NO_CAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.ranking.outcome import Outcome
    from recsys.ranking.plan import Plan

_FELL_OUT: Final = {
    kernel.EXCLUDED: "excluded",
    kernel.ANCHOR: "anchor",
    kernel.BLOCKED: "blocked",
    kernel.CONSTRAINED: "constrained",
}


def explanation(plan: Plan, outcome: Outcome, entry: int) -> Explanation:
    """``summary``: what each step adds to the score; ``full``: raw and normalised values and the matching rules too."""
    blended, personalised, final = outcome.table.scores[:, entry].tolist()
    steps = {"personalization": personalised - blended, "boost": final - personalised}
    parts = dict(_parts(plan, outcome, entry))
    if plan.request.options.explain == "summary":
        return Explanation(signals={name: part["contribution"] for name, part in parts.items()} | steps)
    return Explanation(signals=parts | steps, rules=plan.active.matching(int(outcome.table.items[entry])))


def reasons(plan: Plan, outcome: Outcome, entry: int) -> list[str]:
    """Short phrases for people, the strongest kind first: pins, boosts, co-visitation, tags, popularity."""
    table, item = outcome.table, int(outcome.table.items[entry])
    found = list(_rule_reasons(plan, outcome, item))
    if table.raw[kernel.COOC, entry] > 0 and (anchor := _closest_anchor(plan, item)):
        found.append(f"bought with {anchor}")
    if table.scores[kernel.PERSONALISED, entry] > table.scores[kernel.BLENDED, entry]:
        found.append("shares tags with the anchors")
    if plan.state.popularity.scores[item] > 0:
        found.append("popular")
    return found


def trace(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """How many items each source gave and each stage took, and with which settings."""
    weights, tally = plan.weights, outcome.tally
    counts = outcome.counts
    sources = {
        "popularity": kernel.POPULAR_COUNT,
        "neighbours": kernel.NEIGHBOUR_COUNT,
        "boosted": kernel.BOOSTED_COUNT,
        "included": kernel.INCLUDED_COUNT,
        "pinned": kernel.PIN_COUNT,
    }
    return {
        "algorithm": plan.algorithm,
        "baseline": outcome.baseline_name,
        "weights": {"pop": weights.pop, "cooc": weights.cooc, "emb": weights.emb},
        "fanout": tally[kernel.FANOUT],
        "anchors": {
            "given": plan.anchors.given,
            "known": int(plan.anchors.indices.size),
            "from": "request" if plan.anchors.named else "history",
        },
        "sources": {name: tally[at] for name, at in sources.items()},
        "removed": {name: counts[name] for name in ("excluded", "anchors", "blocked", "constrained")},
        "rules": {
            "blocks": len(plan.active.blocks),
            "pins": len(plan.active.pins),
            "boosts": len(plan.active.lifts),
        },
        "candidates": counts["candidates"],
        "returned": counts["returned"],
    }


def explain_item(plan: Plan, outcome: Outcome, item_id: str) -> dict[str, Any]:
    """Where one item fell out of the work, or its rank.

    ``outcome`` is one of unknown, excluded, anchor, blocked, constrained, not_included, not_a_candidate, capped,
    diversified, below_top_k, answered; ``detail`` says it in words, and whether the config puts all rules out of force.
    """
    said = _fate(plan, outcome, item_id)
    if not plan.state.settings.enable_rules:
        said["detail"] += " No rule is in force here: flags.enable_rules is false."
    return said


def _fate(plan: Plan, outcome: Outcome, item_id: str) -> dict[str, Any]:
    index = plan.state.signals.ids.index(item_id)
    if index < 0:
        return {"item_id": item_id, "outcome": "unknown", "detail": "The surface has no data about this item."}
    said: dict[str, Any] = {"item_id": item_id, "rules": plan.active.matching(index)}
    if fault := _fault(plan, outcome, index):
        return said | fault
    entry = outcome.entry(index)
    if entry is not None:
        return said | _scored(plan, outcome, entry)
    if plan.included is not None:
        return said | {"outcome": "not_included", "detail": "candidates.include_ids does not name it."}
    return said | {
        "outcome": "not_a_candidate",
        "detail": f"Not among the {outcome.tally[kernel.FANOUT]} most popular eligible items, anchors' neighbours and "
        "boosted items.",
    }


def _parts(plan: Plan, outcome: Outcome, entry: int) -> Iterator[tuple[str, dict[str, float]]]:
    weights, name = plan.weights, outcome.baseline_name
    raw: list[float] = outcome.table.raw[:, entry].tolist()
    if name == "popularity":
        popularity = float(plan.state.popularity.scores[outcome.table.items[entry]])
        yield "pop", _part(popularity, norm_one(popularity), weights.pop)
    else:
        own = raw[outcome.tally[kernel.BASELINE]]
        # cooc stands for its β term
        yield "baseline" if name == "cooc" else name, _part(own, norm_one(own), weights.pop)
    yield "cooc", _part(raw[kernel.COOC], norm_one(raw[kernel.COOC]), weights.cooc)
    if len(plan.state.sources) > 1:
        semantic = kernel.semantic_of(outcome.workspace.addresses, entry)
        yield "emb", _part(semantic, semantic, weights.emb)


def _part(raw: float, normalised: float, weight: float) -> dict[str, float]:
    return {"raw": raw, "normalised": normalised, "weight": weight, "contribution": weight * normalised}


def _rule_reasons(plan: Plan, outcome: Outcome, item: int) -> Iterator[str]:
    pinned = item in outcome.pinned
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


def _fault(plan: Plan, outcome: Outcome, item: int) -> dict[str, Any] | None:
    """What keeps an item out, for one that may not be answered."""
    verdict = outcome.judge(plan, item)
    if verdict == kernel.ELIGIBLE:
        return None
    if verdict == kernel.BLOCKED:
        names = ", ".join(rule.name for rule in plan.active.blocks if hits(rule, item))
        return {"outcome": "blocked", "detail": f"Blocked by {names}."}
    name = {
        kernel.EXCLUDED: "exclude, the user's history" if item in plan.done else "candidates.exclude_ids",
        kernel.ANCHOR: "anchors.item_ids",
    }.get(verdict) or violated(plan.state.signals, plan.request.constraints, item)
    return {"outcome": _FELL_OUT[verdict], "detail": f"Does not pass {name}."}


def _scored(plan: Plan, outcome: Outcome, entry: int) -> dict[str, Any]:
    score = float(outcome.table.scores[kernel.FINAL, entry])
    if entry in outcome.chosen:
        rank = outcome.chosen.index(entry) + 1
        return {"outcome": "answered", "score": score, "rank": rank, "detail": "In the answer."}
    rank, k = _rank_by_score(outcome, entry), plan.request.k
    if full := _full_tags(plan, outcome, entry):
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


def _rank_by_score(outcome: Outcome, entry: int) -> int:
    """The rank without diversity and caps: pins, then what scores higher, then what scores alike with a lower id."""
    table, pins = outcome.table, len(outcome.pinned)
    origin = table.origin[: outcome.count]
    others = np.flatnonzero((origin > 0) & (origin < kernel.PINNED))
    scores, items = table.scores[kernel.FINAL, others], table.items[others]
    score, item = table.scores[kernel.FINAL, entry], table.items[entry]
    return pins + int(np.count_nonzero((scores > score) | ((scores == score) & (items < item)))) + 1


def _full_tags(plan: Plan, outcome: Outcome, entry: int) -> list[str]:
    signals = plan.state.signals
    _, carried = signals.item_tags.gather(as_indices(outcome.items))
    counts = Counter(carried.tolist())
    own = signals.item_tags.row(int(outcome.table.items[entry])).tolist()
    return [name for tag in own if counts[tag] >= _cap(plan, name := signals.tags[tag])]


def _cap(plan: Plan, tag: str) -> int:
    """The tightest cap on a tag."""
    diversity = plan.state.settings.diversity
    caps = (
        diversity.brand_cap if tag.startswith("brand:") else None,
        diversity.category_cap if tag.startswith("category:") else None,
        plan.request.constraints.max_per_tag.get(tag),
    )
    return min((cap for cap in caps if cap is not None), default=NO_CAP)
