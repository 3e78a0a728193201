"""Tenants of any size: their documents and keys come through the API, their signals as the file that a load leaves.

The file is put into the worker's cache before it starts, so no database has to hold what a million items have. The
database has one row per surface, by which the service knows that there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.http_client import NDJSON, http_request
from bench.prepared import Prepared, set_data_revision
from bench.process import SERVER_CORE, pinned
from bench.service import ADMIN, developer, make_tenant, port_of, put_documents
from bench.synthetic import SURFACE, item_id, requests
from bench.synthetic_signals import shop, surface_signals
from bench.synthetic_users import SALT
from bench.target import Target
from recsys.bootstrap.settings import Settings
from recsys.bootstrap.wiring import cache_directory
from recsys.ranking.signals import SurfaceSignals
from recsys.storage.engine import open_database
from tests.support.databases import SqliteTemplate
from tests.support.server import Server, serve

NEIGHBOURS, DAYS = 200, 3
ALL_SIGNALS_UP_TO = 10_000
_FIRST_REVISION = 100
"""Above what making the tenant raises the data revision to."""


@dataclass(frozen=True)
class Tenant:
    """Who is asked for, with which headers."""

    name: str
    id: str
    items: int
    key: Mapping[str, str]


@dataclass
class Shops:
    """A database and a cache with tenants by their number of items; ``revision``: the data revision of all of them."""

    path: Path
    cache: Path
    database: str
    tenants: Mapping[int, Tenant]
    revision: int = _FIRST_REVISION

    @contextmanager
    def serving(self, workers: int = 1) -> Iterator[Target]:
        """``recsys serve`` on the measured core, or with several workers on all of them."""
        with ExitStack() as stack:
            with pinned(SERVER_CORE) if workers == 1 else nullcontext():
                started = serve(self.database, self.path, workers=workers, cache_dir=self.cache, subject_salt=SALT)
                server = stack.enter_context(started)
            yield _target(server)

    def raise_data_revision(self, items: int) -> int:
        """Make the next data revision of a tenant current, as another process would."""
        self.revision += 1
        set_data_revision(self.database, self.tenants[items].id, self.revision)
        return self.revision


def prepare(path: Path, sizes: Sequence[int], *, revisions: int = 1) -> Shops:
    """A tenant of each size, with files for so many data revisions, of which the first is current."""
    cache, database = path / "cache", SqliteTemplate(path).fresh()
    kept = cache_directory(Settings(db=database, cache_dir=str(cache)), open_database(database)) or cache
    with serve(database, path) as server:
        tenants = {size: _make(server, size) for size in sizes}
    for size, tenant in tenants.items():
        signals = signals_of(size, tenant.id)
        for revision in reversed(range(_FIRST_REVISION, _FIRST_REVISION + revisions)):  # a new file ends older ones
            Prepared(kept, tenant.id, revision).put(replace(signals, data_revision=revision))
        set_data_revision(database, tenant.id, _FIRST_REVISION)
    return Shops(path, cache, database, tenants)


def signals_of(items: int, tenant_id: str) -> SurfaceSignals:
    """The signals of a tenant of this size."""
    made = shop(items, neighbours=NEIGHBOURS, days=DAYS)
    return surface_signals(made, tenant_id, all_signals=items <= ALL_SIGNALS_UP_TO)


def encoded(tenant: Tenant) -> dict[str, list[bytes]]:
    """The requests of each case as they go over the wire."""
    return {
        case: [http_request("POST", "/v1/recommend", tenant.key, msgspec.json.encode(body)) for body in bodies]
        for case, bodies in requests(tenant.items, all_signals=tenant.items <= ALL_SIGNALS_UP_TO).items()
    }


def _make(server: Server, items: int) -> Tenant:
    """A tenant with config, rules, a key and one row."""
    name = f"shop-{items}"
    with developer(server) as client:
        key = make_tenant(client, name)
        row = msgspec.json.encode({"item_id": item_id(0), "day": "2026-01-01", "score": 1})
        url = f"{ADMIN}/{name}/signals/popularity?surface={SURFACE}"
        client.put(url, content=row, headers=NDJSON).raise_for_status()
        put_documents(client, name)
        found = client.get(f"{ADMIN}/{name}").raise_for_status().json()
    return Tenant(name, found["id"], items, key)


def _target(server: Server) -> Target:
    return Target("recsys", port_of(server), tuple(server.workers()))
