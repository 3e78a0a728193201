"""``publish``: from naming new artifacts in the manifest to every worker answering from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import msgspec

from bench.figure import Bar, Options, Rounds, Section
from bench.http_client import Client, http_request, run
from bench.service import ADMIN, DEVELOPER, databases, developer, directory, make_tenant, port_of
from bench.synthetic import ANONYMOUS, SURFACE, requests
from bench.synthetic_events import DAYS, WINDOW, draw_catalog, write_days
from bench.workers import Meta, connect_to_each, until
from recsys.control.publish import NewArtifact, store_artifact
from recsys.domain.artifact import Lineage
from recsys.domain.manifest import ArtifactKind, make_manifest
from recsys.pipelines.compute import KINDS, Inputs, artifact_of, available, compute
from recsys.pipelines.engine import opened
from recsys.pipelines.place import Place
from recsys.pipelines.settings import PipelineSettings
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks
from tests.support.server import serve

ITEMS, WORKERS = 100_000, 4
EVENTS, QUICK_EVENTS = 4_000_000, 400_000
SERVED_S = 2.0
LOOK_EVERY_S = 0.005
_SHARE = DAYS // 2
_LINEAGE = Lineage(input_fingerprint="bench", code_version="bench", engine="bench", created_at=datetime.now(UTC))
NEW, BACK = "new artifacts", "back to the ones before"


@dataclass(frozen=True)
class Shop:
    """A tenant served from artifacts, and where these are put."""

    id: str
    port: int
    question: bytes
    blobs: LocalBlobStore

    async def store(self, place: Place) -> Mapping[ArtifactKind, str]:
        """Put the artifacts there, as a publish does before it moves the manifest; nothing serves them yet."""
        found = {kind: artifact_of(place, None, kind) for kind in KINDS}
        return {
            kind: await store_artifact(self.blobs, self.id, SURFACE, kind, NewArtifact(path.read_bytes(), _LINEAGE))
            for kind, path in found.items()
            if path.exists()
        }


def measure(options: Options) -> Section:
    """Other artifacts each time, then those before them again; on SQLite and PostgreSQL."""
    events, rounds = QUICK_EVENTS if options.quick else EVENTS, Rounds()
    with ExitStack() as stack:
        path = stack.enter_context(directory())
        places = _compute(path, events, options.rounds + 1)
        size = sum(file.stat().st_size for file in places[0].at("_all", "signals").glob("*.arrow"))
        for name, fresh in stack.enter_context(databases(path)).items():
            _measure(name, fresh, path, places, rounds)
    bars = [
        Bar(f"{name}, {WORKERS} workers, {ITEMS:,} items: publish to every worker serving it, slowest",
            rounds.most(name, f"{NEW}: served by all"), "s", at_most=SERVED_S)
        for name in ("SQLite", "PostgreSQL")
    ]  # fmt: skip
    what = (
        f"{WORKERS} workers, no load. Artifacts of every kind but embedding, {size / 1e6:,.0f} MB, of {events // 2:,} "
        f"events in {_SHARE} days, one day later each time, so that all but catalog and content_sim are new. Blobs are "
        "put into the store before, as a publish does. Served by all: from sending the manifest until each worker, "
        "asked every few milliseconds on a connection of its own, has answered with its version; answered: until the "
        "PUT came back. The watchers share the cores with the workers."
    )
    return Section("publish", what, rounds.figures(), bars)


def _measure(name: str, fresh: Callable[[], str], path: Path, places: Sequence[Place], rounds: Rounds) -> None:
    own = path / name
    own.mkdir()
    store = own / "artifacts"
    with serve(fresh(), own, workers=WORKERS, artifacts=store) as server:
        with developer(server) as client:
            key = make_tenant(client, "shop")
            tenant_id = client.get(f"{ADMIN}/shop").raise_for_status().json()["id"]
        question = http_request("POST", "/v1/recommend", key, msgspec.json.encode(requests(ITEMS)[ANONYMOUS][0]))
        blobs = LocalBlobStore(store, Marks(None), max_bytes=1 << 32)
        run(_publish_often(name, Shop(tenant_id, port_of(server), question, blobs), places, rounds))


async def _publish_often(name: str, shop: Shop, places: Sequence[Place], rounds: Rounds) -> None:
    caller, watchers = await Client.connect(shop.port), await connect_to_each(shop.port, shop.question, WORKERS)
    before = make_manifest(None, "shop", SURFACE, await shop.store(places[0]))
    await _publish(shop, caller, watchers, before)
    for place in places[1:]:
        new = make_manifest(None, "shop", SURFACE, await shop.store(place))
        for case, document in ((NEW, new), (BACK, before)):
            answered, served = await _publish(shop, caller, watchers, document)
            rounds.add(name, f"{case}: served by all", "s", served)
            rounds.add(name, f"{case}: answered", "s", answered)
    for client in (caller, *watchers):
        client.close()


async def _publish(shop: Shop, caller: Client, watchers: Sequence[Client], document: object) -> tuple[float, float]:
    """Seconds until the PUT was answered, and until every worker served the manifest."""
    began = perf_counter()
    answer = await caller.must(_put(document))
    answered = perf_counter() - began
    version = answer.json()["manifest_version"]
    shown = [until(each, shop.question, partial(_shows, version), LOOK_EVERY_S) for each in watchers]
    return answered, max(await asyncio.gather(*shown)) - began


def _put(document: object) -> bytes:
    return http_request("PUT", f"{ADMIN}/shop/manifests/{SURFACE}", DEVELOPER, msgspec.json.encode(document))


def _shows(version: str, meta: Meta) -> bool:
    return bool(meta["manifest_version"] == version)


def _compute(path: Path, events: int, count: int) -> list[Place]:
    """Artifacts of as many windows, each a day later than the one before."""
    days = path / "days"
    days.mkdir()
    tables, catalog = write_days(days, events, ITEMS), draw_catalog(ITEMS)
    places = [Place(path / "made" / str(first)) for first in range(count)]
    for first, place in enumerate(places):
        with opened("duckdb", path / "scratch", PipelineSettings().limits.memory_mb) as engine:
            inputs = Inputs(
                engine=engine, tables=tables[first : first + _SHARE], segment=None, window=WINDOW,
                settings=PipelineSettings(), fingerprints={"events": str(first), "catalog": "c"}, catalog=catalog,
            )  # fmt: skip
            compute(place, inputs, available(inputs, None))
    return places
