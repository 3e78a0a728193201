"""Load an adversarial data set in a shuffled order, and print the items of many answers, one line each.

Run as a program, so that every run has a hash seed of its own: python -m tests.support.answers URL SHUFFLE_SEED
"""

import asyncio
import io
import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from recsys.control.change_document import change_document
from recsys.control.load_rows import Load, load_rows
from recsys.control.manage_tenants import create_tenant
from recsys.domain.access import Actor
from recsys.domain.catalogue import Dataset
from recsys.domain.document import DocumentRef
from recsys.domain.precondition import Preconditions
from recsys.domain.recommend import RecommendRequest
from recsys.serving.answer import recommend
from recsys.serving.snapshot import build_part, compose, read_documents
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import open_database
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock

IDS = [*"aAbBzZ", "é", "É", "e\u0301", "ß", "ss", "中", "😀", "\ufb33", "i-10", "i-9", "I-9", "i_9", " x", "x "]
FLOATS = [0.1, 0.2, 0.3, 1e-300, 5e-324, 1e15, 123456789.123456789, 0.1 + 0.2, 1 / 3, 2 / 3, 1.0, 1.0]
TAGS = ["Tag", "tag", "täg", "brand:x", "category:y"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONFIG = {
    "popularity": {"half_life_days": 7.3},
    "anchors": {"half_life": 1.7},
    "personalization": {"boost": 0.37, "top_tags": 2},
    "surfaces": {"pdp": {"diversity": {"mmr_lambda": 0.7, "brand_cap": 3}}},
}
RULES = [
    {"action": "boost", "target_type": "tag", "target_key": "Tag", "boost_value": 0.1},
    {"action": "boost", "target_type": "tag", "target_key": "tag", "boost_value": 0.2},
    {"action": "pin", "target_type": "item", "item_ids": ["😀", "É"], "surface": "pdp"},
    {"action": "block", "target_type": "item", "item_ids": ["ss"]},
]


def rows() -> dict[Dataset, list[dict[str, Any]]]:
    """The data set: drawn once, always the same."""
    draw = random.Random(7)
    days = [f"2026-01-{day:02d}" for day in range(1, 13)]
    popularity = [{"item_id": i, "day": d, "score": draw.choice(FLOATS)} for i in IDS for d in days]
    pairs = [(a, b) for a in IDS for b in IDS if a != b and draw.random() < 0.5]
    cooc = [
        {"item_id": a, "neighbor_id": b, "day": d, "score": draw.choice(FLOATS)} for a, b in pairs for d in days[:3]
    ]
    items = [{"item_id": i, "tags": draw.sample(TAGS, draw.randint(0, 3)), "price": draw.choice(FLOATS)} for i in IDS]
    return {"items": items, "popularity": popularity, "cooc": cooc}


def requests() -> Iterator[dict[str, Any]]:
    """A row of requests of every kind."""
    draw = random.Random(8)
    for number in range(60):
        request: dict[str, Any] = {"surface": "pdp" if number % 2 else "home", "k": draw.randint(1, 25)}
        request["user"] = {"user_id": "u"}
        request["anchors"] = {"item_ids": draw.sample(IDS, draw.randint(0, 4))}
        request["algorithm"] = draw.choice(["blend", "popularity", "cooc"])
        if number % 3 == 0:
            request["constraints"] = {"price_max": 1.0, "max_per_tag": {"Tag": 2}}
        yield request


async def main(url: str, seed: int) -> None:
    database, clock, actor = open_database(url), FakeClock(), Actor(sub="ann", actor_type="user")
    clock.pass_by(days=30)  # the days of its rows are over
    store, serving_store = SqlControlStore(database, clock), SqlServingStore(database)
    tenant = await create_tenant(store, clock, actor, f"demo-{seed}")
    shuffle = random.Random(seed)
    parts = {}
    for surface in shuffle.sample(["home", "pdp"], 2):
        for dataset, data in shuffle.sample(sorted(rows().items()), 3):
            lines = [json.dumps(row) for row in shuffle.sample(data, len(data))]
            spool = io.BytesIO("\n".join(lines).encode())
            await load_rows(store, clock, actor, tenant.id, Load(surface, dataset, "ndjson"), spool)
        parts[surface] = build_part(await serving_store.surface_rows(tenant.id, surface))
    for name, document in (("config", CONFIG), ("rules", RULES)):
        text = json.dumps(document).encode()
        await change_document(store, actor, tenant.id, DocumentRef(name), text, Preconditions())
    documents = read_documents(await serving_store.documents(tenant.id))
    snapshot = compose(tenant, documents, parts, None, data_revision=0, now=NOON)
    for body in requests():
        request = msgspec.convert(body, RecommendRequest)
        answer = recommend(snapshot, request, request_id="r", now=NOON, stale=False)
        sys.stdout.buffer.write(msgspec.json.encode(answer.items) + b"\n")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
