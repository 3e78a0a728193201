"""Compiling ahead: what numba compiles on first use takes seconds, which no request should wait for."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np

from recsys.domain.catalogue import Item, SurfaceRows
from recsys.domain.config import Config, resolve
from recsys.domain.recommend import Anchors, Candidates, Constraints, Options, RecommendRequest, SimilarRequest
from recsys.ranking import kernel
from recsys.ranking.arrays import NO_INDICES
from recsys.ranking.pipeline import rank
from recsys.ranking.popularity import rank_popularity
from recsys.ranking.session_index import build_session_index
from recsys.ranking.signals import build_signals
from recsys.ranking.similar import similar
from recsys.ranking.state import compose_surface
from recsys.ranking.table import EMPTY_OFFER, Workspace

_DAY = date(2026, 1, 1)
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def warm_up() -> None:
    """Compile what ranking calls: some ten seconds; or load what was compiled before: less than one."""
    rows = SurfaceRows(
        surface="home",
        data_revision=1,
        items=[Item(item_id="a", tags=["t"], price=1.0), Item(item_id="b", tags=["t"])],
        popularity=[("a", _DAY, 1.0)],
        covisits=[("a", "b", _DAY, 1.0)],
    )
    signals, settings = build_signals(rows), resolve(Config(), "home")
    state = compose_surface(signals, rank_popularity(signals, None), settings, ())
    request = RecommendRequest(
        surface="home",
        anchors=Anchors(item_ids=["a"]),
        candidates=Candidates(exclude_ids=["a"]),
        constraints=Constraints(forbidden_tags=["u"], price_min=0.0),
        options=Options(explain="full", include_reasons=True, include_trace=True, explain_item="b"),
    )
    rank(state, request, _NOW)
    similar(state, SimilarRequest(surface="home", item_id="a"), _NOW)
    build_session_index(np.zeros(2, np.int32), NO_INDICES, 1).find(np.zeros(1, np.int32))
    workspace = Workspace(2, 1)
    kernel.begin(workspace.addresses, EMPTY_OFFER.addresses, NO_INDICES, NO_INDICES, True)
    kernel.semantic_of(workspace.addresses, 0)


if __name__ == "__main__":
    warm_up()
