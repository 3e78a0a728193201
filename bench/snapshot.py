"""A tenant in memory without a database: a snapshot, and the key that asks for it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bench.synthetic import CONFIG, SURFACE, rules
from recsys.domain.access import Role
from recsys.domain.api_key import ApiKey, hash_key
from recsys.domain.document import DocumentRef
from recsys.domain.history import Pointers
from recsys.domain.ports import TenantDocuments
from recsys.domain.tenant import Tenant
from recsys.ranking.signals import SurfaceSignals
from recsys.serving.directory import Directory
from recsys.serving.snapshot import SignalPart, Snapshot, compose, read_documents

NOW = datetime(2026, 2, 1, tzinfo=UTC)
TENANT = Tenant(id="00000000-0000-0000-0000-000000000001", external_id="shop", name="shop", created_at=NOW)
KEY = "rsk_bench_0123456789abcdef0123456789abcdef"


def tenant_documents() -> TenantDocuments:
    """The config and the fifty rules as a replica reads them, with versions as long as real ones."""
    texts = {
        DocumentRef("config"): msgspec.json.encode(CONFIG).decode(),
        DocumentRef("rules"): msgspec.json.encode(rules()).decode(),
    }
    pointers = Pointers(config="c" * 64, rules="d" * 64)
    return TenantDocuments(tenant_id=TENANT.id, revision=1, pointers=pointers, texts=texts)


def make_snapshot(signals: SurfaceSignals) -> Snapshot:
    """All that answers for the tenant."""
    documents = read_documents(tenant_documents())
    return compose(TENANT, documents, {SURFACE: SignalPart(signals)}, None, data_revision=1, now=NOW)


def directory_of() -> Directory:
    """The tenant and its key."""
    key = ApiKey(
        id="key", tenant_id=TENANT.id, name="bench", role=Role.SERVING, hint=KEY[:8], key_hash=hash_key(KEY),
        created_at=NOW, created_by_sub="bench",
    )  # fmt: skip
    return Directory.of([TENANT], [key])
