"""Artifacts as a pipeline would publish them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recsys.artifacts.codec import encode
from recsys.control.publish import NewArtifact, store_artifact
from recsys.domain.artifact import Address, Lineage, hash_content
from recsys.domain.manifest import ArtifactKind
from recsys.domain.ports import BlobStore
from tests.support.tables import table

LINEAGE = Lineage(
    input_fingerprint="00ff",
    window_start=datetime(2025, 1, 1, tzinfo=UTC),
    window_end=datetime(2025, 2, 1, tzinfo=UTC),
    config_hash="c0",
    code_version="0.1.0",
    engine="duckdb 2.0",
    counts={"rows": 4},
    created_at=datetime(2025, 2, 2, tzinfo=UTC),
)


class Artifact:
    """One artifact, and how it is stored for a tenant's surface ``home``."""

    def __init__(self, kind: ArtifactKind, rows: list[dict[str, Any]] | None = None) -> None:
        self.kind = kind
        self.content = encode(kind, table(kind, rows))
        self.sha256 = hash_content(self.content)
        self.uri = f"sha256:{self.sha256}"
        self.new = NewArtifact(self.content, LINEAGE)

    def at(self, tenant_id: str) -> Address:
        return Address(tenant_id, "home", self.kind, self.sha256)

    async def store(self, blobs: BlobStore, tenant_id: str) -> None:
        assert await store_artifact(blobs, tenant_id, "home", self.kind, self.new) == self.uri


def popularity(score: float = 1.0) -> Artifact:
    """A small one; another score is another artifact."""
    return Artifact("popularity", [{"item_id": "a", "score": score}])
