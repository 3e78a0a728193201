"""The sources of relevance beside popularity: one file each, and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recsys.ranking.sources.collab import CollaborativeSignal
from recsys.ranking.sources.content import ContentSignal
from recsys.ranking.sources.cooc import CoocSignal
from recsys.ranking.sources.embedding import EmbeddingSignal
from recsys.ranking.sources.session import NearestSessions, SessionSignal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.domain.config import Algorithm
    from recsys.ranking.signal import Signal
    from recsys.ranking.signals import SurfaceSignals

SOURCE_OF_MODE: Final[Mapping[Algorithm, str]] = {
    "cooc": "cooc",
    "implicit": "collab",
    "content_sim": "content",
    "session_seq": "session",
}
"""Whose scores take the place of popularity in each mode."""


def make_sources(signals: SurfaceSignals) -> Mapping[str, Signal]:
    """The signals that a surface has data for, by name; ``cooc`` always."""
    sources: dict[str, Signal | None] = {
        "cooc": CoocSignal(signals.cooc),
        "emb": EmbeddingSignal(signals.emb) if signals.emb else None,
        "collab": CollaborativeSignal(signals.collab) if signals.collab else None,
        "content": ContentSignal(signals.content) if signals.content else None,
        "session": _session(signals),
    }
    return {name: source for name, source in sources.items() if source is not None}


def _session(signals: SurfaceSignals) -> Signal | None:
    """Past sessions where there are any, else the lists of next items."""
    if signals.sessions is not None:
        return NearestSessions(signals.sessions)
    return SessionSignal(signals.session) if signals.session else None
