"""What a replica serves for a tenant, surface by surface, for people who want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from recsys.ranking.signals import SurfaceSignals
    from recsys.serving.snapshot import SignalPart, Snapshot


class ServedSignals(msgspec.Struct, frozen=True, kw_only=True):
    """What one surface is served from. ``signals``: those that there is data for, named as in the config's modes.

    ``data_revision``: of the rows that take part; null where artifacts alone do.
    """

    data_mode: Literal["tables", "artifacts"]
    manifest_version: str | None
    data_revision: int | None
    items: int
    signals: list[str]


def served_signals(snapshot: Snapshot | None) -> dict[str, ServedSignals]:
    """What each surface of a snapshot is served from."""
    return {name: _served(part) for name, part in sorted(snapshot.parts.items())} if snapshot is not None else {}


def _served(part: SignalPart) -> ServedSignals:
    source = part.source
    return ServedSignals(
        data_mode="tables" if source.manifest_version is None else "artifacts",
        manifest_version=source.manifest_version,
        data_revision=source.data_revision or None,
        items=len(part.signals.ids),
        signals=_with_data(part.signals),
    )


def _with_data(signals: SurfaceSignals) -> list[str]:
    there = {
        "popularity": signals.popularity.items.size > 0,
        "cooc": signals.cooc.items.size > 0,
        "emb": signals.emb is not None,
        "collab": signals.collab is not None,
        "content": signals.content is not None,
        "session": signals.session is not None or signals.sessions is not None,
        "history": signals.history is not None,
    }
    return [name for name, has_data in there.items() if has_data]
