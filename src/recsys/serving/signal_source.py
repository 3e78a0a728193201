"""What the signals of a surface are to be made from, as the documents and the data of its tenant say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recsys.domain.names import VERSION_PATTERN
from recsys.domain.ports import SignalKey
from recsys.ranking.signal_arrays import LAYOUT

if TYPE_CHECKING:
    from recsys.domain.catalogue import SurfaceRows
    from recsys.domain.manifest import Manifest
    from recsys.domain.ports import TenantHead
    from recsys.serving.snapshot import DocumentPart


@dataclass(frozen=True, slots=True)
class SignalSource:
    """The rows of the tables, the artifacts of a manifest, or artifacts and the rows that describe items.

    ``data_revision`` and ``load_id``: of the rows; 0 and None where none take part. ``manifest_version``: None for
    tables alone. ``read_again``: the number of the last request to read the artifacts anew.
    """

    data_revision: int = 0
    load_id: str | None = None
    manifest_version: str | None = None
    read_again: int = 0
    manifest: Manifest | None = field(default=None, compare=False, repr=False)

    @property
    def reads_rows(self) -> bool:
        """Whether rows of the tables take part."""
        return self.manifest is None or self.data_revision > 0

    def key(self, tenant_id: str, surface: str) -> SignalKey | None:
        """What a surface's signals from here are kept under; None: nothing would tell them from others.

        A load has no name when it was made before loads had names.
        """
        named = self.manifest_version is None or re.match(VERSION_PATTERN, self.manifest_version)
        if not named or (self.reads_rows and self.load_id is None):
            return None
        return SignalKey(
            tenant_id=tenant_id,
            surface=surface,
            data_revision=self.data_revision,
            load_id=self.load_id or "",
            layout=LAYOUT,
            manifest_version=self.manifest_version,
            read_again=self.read_again,
        )

    def read_from(self, rows: SurfaceRows) -> SignalSource:
        """This, of the rows that were read in the end: they may be newer than what was asked for."""
        return replace(self, data_revision=rows.data_revision, load_id=rows.load_id)

    def same_artifacts(self, other: SignalSource) -> bool:
        """Whether the same artifacts, or none, take part in both."""
        return (self.manifest_version, self.read_again) == (other.manifest_version, other.read_again)

    def is_served_by(self, other: SignalSource) -> bool:
        """Whether signals from ``other`` are what is wanted here, or newer."""
        if not self.same_artifacts(other):
            return False
        if self.data_revision == other.data_revision:
            # A restored database can come back to the same data revision by another load.
            return self.load_id == other.load_id
        return self.data_revision < other.data_revision


def find_sources(head: TenantHead, documents: DocumentPart) -> dict[str, SignalSource]:
    """What each surface of a tenant is to be served from: those with a manifest from its artifacts, others from rows.

    Rows take part beside a manifest only if it names no ``catalog``: then they describe the items.
    """
    sources = {name: SignalSource(revision, head.load_ids.get(name)) for name, revision in head.surfaces.items()}
    for name, manifest in documents.manifests.items():
        rows = SignalSource() if "catalog" in manifest.current else sources.get(name, SignalSource())
        sources[name] = replace(
            rows,
            manifest_version=documents.pointers.manifests.get(name),
            read_again=documents.read_again.get(name, 0),
            manifest=manifest,
        )
    return sources
