"""Tables in long form, one of every kind of artifact: what a pipeline would hand over."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from recsys.artifacts.codec import FORMATS
from recsys.domain.manifest import ArtifactKind

T0 = 1_735_689_600_000_000  # 2025-01-01, in microseconds since 1970
MINUTE = 60_000_000
NEVER = -(2**63)

NEIGHBOURS = [
    {"item_id": "b", "neighbor_id": "a", "score": 2.0},
    {"item_id": "a", "neighbor_id": "ü", "score": 0.5},
    {"item_id": "a", "neighbor_id": "b", "score": 1.5},
    {"item_id": "\U0001f600", "neighbor_id": "a", "score": 1.0},
]

ROWS: dict[ArtifactKind, list[dict[str, Any]]] = {
    "popularity": [
        {"item_id": "b", "score": 2.0},
        {"item_id": "\U0001f600", "score": 0.0},
        {"item_id": "a", "score": 3.25},
        {"item_id": "\uffee", "score": 1.0},
    ],
    "cooc": NEIGHBOURS,
    "content_sim": NEIGHBOURS,
    "session_seq": NEIGHBOURS,
    "embedding": NEIGHBOURS,
    "implicit": [
        {"user_id": "u2", "item_id": "b", "score": 1.0},
        {"user_id": "u1", "item_id": "b", "score": 0.5},
        {"user_id": "u1", "item_id": "a", "score": 2.5},
    ],
    "history": [
        {"user_id": "u2", "item_id": "b", "event_type": "view", "at": T0 + MINUTE},
        {"user_id": "u1", "item_id": "c", "event_type": "purchase", "at": T0 + 2 * MINUTE},
        {"user_id": "u1", "item_id": "a", "event_type": "view", "at": T0},
        {"user_id": "u1", "item_id": "a", "event_type": "view", "at": T0},
    ],
    "session_knn": [
        {"session": 7, "at": T0 + 3 * MINUTE, "item_id": "b", "position": 1},
        {"session": 7, "at": T0 + 2 * MINUTE, "item_id": "a", "position": 0},
        {"session": 3, "at": T0, "item_id": "a", "position": 0},
        {"session": 3, "at": T0 + MINUTE, "item_id": "c", "position": 2},
    ],
    "catalog": [
        {
            "item_id": "b",
            "title": "Bowl",
            "tags": ["red", "brand:x", "red"],
            "price": 9.5,
            "created_at": T0,
            "attributes": '{"size":3}',
        },
        {
            "item_id": "a",
            "title": "",
            "tags": [],
            "price": float("nan"),
            "created_at": NEVER,
            "attributes": "",
        },
    ],
}


def table(kind: ArtifactKind, rows: list[dict[str, Any]] | None = None) -> Any:
    """Rows as the table that ``encode`` takes; by default some of every sort that there is of this kind."""
    return pa.Table.from_pylist(ROWS[kind] if rows is None else rows, schema=FORMATS[kind].long)
