"""A case of the ranking tests as artifacts: what a pipeline would publish of the same facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from recsys.artifacts.codec import encode
from recsys.domain.catalogue import Item
from recsys.domain.manifest import ArtifactKind
from recsys.ranking.signals import to_microseconds
from tests.support.cases import Case
from tests.support.reference import Lists
from tests.support.tables import NEVER, table


def as_publishable(case: Case) -> Case:
    """The case without what no artifact holds: scores that are not above 0, and items that go with themselves.

    Every item of the case is described, so that none is lost with its pairs.
    """
    reference = case.reference()
    bare = [Item(item_id=name) for name in reference.universe if name not in reference.items]
    covisits = [row for row in case.data.covisits if row[0] != row[1] and row[3] > 0]
    data = msgspec.structs.replace(case.data, covisits=covisits, items=[*case.data.items, *bare])
    lists: dict[str, Any] = {
        name: _positive(getattr(case.fed, name)) for name in ("emb", "content", "session", "collab")
    }
    return replace(case, data=data, fed=replace(case.fed, **lists))


def artifacts_of(case: Case, key_of: Callable[[str], str] = str) -> dict[ArtifactKind, bytes]:
    """The artifacts of every kind that the case has; ``key_of``: what a user is called in them."""
    reference, fed = case.reference(), case.fed
    tables: dict[ArtifactKind, list[dict[str, Any]]] = {
        "popularity": [{"item_id": name, "score": score} for name, score in reference.popularity.items()],
        "cooc": _neighbours(reference.pairs),
        "catalog": [
            {
                "item_id": item.item_id,
                "title": item.title or "",
                "tags": item.all_tags(),
                "price": float("nan") if item.price is None else item.price,
                "created_at": NEVER if item.created_at is None else to_microseconds(item.created_at),
                "attributes": "",
            }
            for item in case.data.items
        ],
    }
    if fed.emb is not None:
        tables["embedding"] = _neighbours(fed.emb)
    if fed.content is not None:
        tables["content_sim"] = _neighbours(fed.content)
    if fed.session is not None:
        tables["session_seq"] = _neighbours(fed.session)
    if fed.collab is not None:
        rows = ((user, name, score) for user, found in fed.collab.items() for name, score in found.items())
        tables["implicit"] = [{"user_id": key_of(user), "item_id": name, "score": score} for user, name, score in rows]
    if fed.sessions is not None:
        tables["session_knn"] = [
            {"session": number, "at": number, "item_id": name, "position": position}
            for number, session in enumerate(fed.sessions)
            for position, name in enumerate(session)
        ]
    if fed.history is not None:
        tables["history"] = [
            {
                "user_id": key_of(event.user),
                "item_id": event.item_id,
                "event_type": event.kind,
                "at": to_microseconds(event.at),
            }
            for event in fed.history
        ]
    return {kind: encode(kind, table(kind, rows)) for kind, rows in tables.items()}


def _neighbours(lists: Lists) -> list[dict[str, Any]]:
    return [
        {"item_id": row, "neighbor_id": name, "score": score}
        for row, found in lists.items()
        for name, score in found.items()
    ]


def _positive(lists: Lists | None) -> Lists | None:
    if lists is None:
        return None
    return {row: {name: v for name, v in found.items() if v > 0 and name != row} for row, found in lists.items()}
