"""What ranking found, before it is written down as an answer or an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from recsys.ranking import kernel
from recsys.ranking.arrays import NO_INDICES, Indices, NeighbourLists, Values, as_indices
from recsys.ranking.signal import Asked
from recsys.ranking.sources import SOURCE_OF_MODE
from recsys.ranking.table import EMPTY_OFFER, NO_BOUNDS, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.ranking.plan import Plan
    from recsys.ranking.table import Workspace

_ROW: Final = {name: row for row, name in enumerate(SIGNALS)}


class Recalled:
    """Puts what one signal finds into the table (:class:`recsys.ranking.signal.Recall`)."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._addresses = workspace.addresses
        self._row = _ROW[name]

    def rows(self, lists: NeighbourLists, rows: Indices, weights: Values) -> None:
        if rows.size:
            kernel.add_rows(self._addresses, self._row, lists.packed.addresses, rows, weights)


def removed(tally: Sequence[int]) -> dict[str, int]:
    """How many different items each filter has taken out."""
    return {
        "excluded": tally[kernel.VERDICTS + kernel.EXCLUDED],
        "anchors": tally[kernel.VERDICTS + kernel.ANCHOR],
        "blocked": tally[kernel.VERDICTS + kernel.BLOCKED],
        "constrained": tally[kernel.VERDICTS + kernel.CONSTRAINED],
    }


class Outcome:
    """What there is to say about the ranking of a plan; reads the workspace, so it lasts as long as that is kept.

    ``items`` and ``scores``: those of the answer in order, ``pinned`` the first of the items; ``injected``: the pinned
    items that no source names; ``candidates``: how many different items were drawn.
    """

    def __init__(self, plan: Plan, workspace: Workspace) -> None:
        self.workspace = workspace
        self.table = table = workspace.table
        self.tally: list[int] = table.tally.tolist()
        self.count = self.tally[kernel.COUNT]
        chosen = self.tally[kernel.CHOSEN]
        self.items: list[int] = table.answer[:chosen].tolist()
        self.scores: list[float] = table.answer_scores[:chosen].tolist()
        self.pinned: list[int] = self.items[: self.tally[kernel.PIN_COUNT]]
        self.injected = self._injected() if self.tally[kernel.INJECTED] else []
        self.candidates = self.tally[kernel.OPEN] + len(self.pinned) - len(self.injected)
        baseline = self.tally[kernel.BASELINE]
        self.baseline_name = "popularity" if baseline == kernel.POPULARITY else plan.algorithm

    @property
    def chosen(self) -> list[int]:
        """The entries of the answer in order."""
        entries: list[int] = self.table.chosen[: len(self.items)].tolist()
        return entries

    @property
    def counts(self) -> dict[str, int]:
        """Candidates, returned, pinned, and how many different items each filter took out."""
        return {
            "candidates": self.candidates,
            "returned": len(self.items),
            "pinned": len(self.pinned),
            **removed(self.tally),
        }

    def _injected(self) -> list[int]:
        origin = self.table.origin
        return [item for item, entry in zip(self.pinned, self.chosen, strict=False) if origin[entry] == kernel.PINNED]

    def entry(self, item: int) -> int | None:
        """The entry of an item that was scored; None: it was not."""
        entries = np.flatnonzero(self.table.items[: self.count] == item)
        return int(entries[0]) if entries.size and self.table.origin[entries[0]] else None

    def judge(self, plan: Plan, item: int) -> int:
        """The verdict on an item, whether it was looked at or not."""
        one, kept = as_indices([item]), np.empty(1, np.int32)
        kernel.keep(self.workspace.addresses, plan.active.surface.addresses, plan.bounds.addresses, one, kept)
        entries = self.table.items[: self.table.tally[kernel.COUNT]]
        return int(self.table.verdict[np.flatnonzero(entries == item)[0]])


def find_outcome(plan: Plan, workspace: Workspace) -> Outcome:
    """Rank."""
    state, anchors, table = plan.state, plan.anchors, workspace.addresses
    settings, weights = state.settings, plan.weights
    plain = plan.bounds is NO_BOUNDS and plan.included is None
    offer = plan.active.offer if plain else EMPTY_OFFER
    kernel.begin(
        table, offer.addresses, anchors.indices if anchors.named else NO_INDICES, plan.excluded, len(state.sources) > 1
    )
    asked = Asked(anchors, plan.subject)
    for name, source in state.sources.items():
        source.recall(asked, Recalled(workspace, name))
    personal = settings.personalization
    known = anchors.given >= personal.min_events
    own = SOURCE_OF_MODE.get(plan.algorithm)
    kernel.find_answer(
        table,
        plan.active.surface.addresses,
        plan.bounds.addresses,
        plan.order,
        anchors.indices if personal.boost else NO_INDICES,
        NO_INDICES if plan.included is None else plan.included,
        plan.included is not None,
        plan.request.k,
        min(settings.limits.max_pins, plan.request.k),
        settings.limits.fanout,
        _ROW[own] if own is not None and own in state.sources else kernel.POPULARITY,
        weights.pop,
        weights.cooc,
        weights.emb,
        settings.diversity.mmr_lambda or 0.0,
        personal.boost,
        1.0 if known else personal.cold_start_multiplier,
        personal.top_tags,
    )
    return Outcome(plan, workspace)
