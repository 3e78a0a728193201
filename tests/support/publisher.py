"""``python -m tests.support.publisher DB STORE FROM``: publishes one thing after the other, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from recsys.bootstrap.wiring import SystemClock
from recsys.control.publish import publish
from recsys.domain.access import Actor
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from tests.support.artifacts import Artifact

ACTOR = Actor(sub="publisher", actor_type="cli")


def three_kinds(number: int) -> list[Artifact]:
    """What belongs together: every artifact of a publish holds its number."""
    score = float(number)
    pair = {"item_id": "a", "neighbor_id": "b", "score": score}
    return [
        Artifact("popularity", [{"item_id": "a", "score": score}]),
        Artifact("cooc", [pair]),
        Artifact("embedding", [pair]),
    ]


async def main(db: str, root: str, begin: int) -> None:
    """Publish until killed, saying so each time."""
    store = SqlControlStore(open_database(db), SystemClock())
    blobs = LocalBlobStore(Path(root), Marks(None), max_bytes=1_000_000)
    for number in range(begin, begin + 1_000_000):
        artifacts = {each.kind: each.new for each in three_kinds(number)}
        await publish(store, blobs, ACTOR, "demo", "home", artifacts)
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
