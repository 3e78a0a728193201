"""The immutable snapshot of a tenant: a document part and, per surface, a signal part, composed without any I/O."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recsys.domain import canonical
from recsys.domain.config import Config, read_config
from recsys.domain.document import CONFIG, RULES, DocumentRef
from recsys.domain.errors import InvalidRequest
from recsys.domain.manifest import Manifest, read_manifest
from recsys.domain.rules import Rule, read_rules
from recsys.ranking.popularity import PopularityRanking, rank_popularity
from recsys.ranking.rules import count_blocked
from recsys.ranking.signals import SurfaceSignals, build_signals
from recsys.serving.signal_source import SignalSource
from recsys.serving.surface import ServedSurface

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from recsys.domain.catalogue import SurfaceRows
    from recsys.domain.history import Pointers
    from recsys.domain.ports import TenantDocuments
    from recsys.domain.tenant import Tenant

_HALF_LIVES_KEPT = 16


class UnreadableDocument(Exception):
    """A stored document that this code cannot read, and there is no earlier state of it to go on with."""

    def __init__(self, ref: DocumentRef, reason: str) -> None:
        self.ref = ref
        super().__init__(f"{ref}: {reason}")


@dataclass(frozen=True, slots=True, eq=False)
class DocumentPart:
    """Config, rules and manifests (by surface) in typed form as of ``revision``, and the versions they came from.

    ``unreadable``: the documents whose current version this code cannot read; for them the last good one stands here,
    in ``pointers`` too, and the others have moved on without them. ``copied``: they were not read from the database.
    ``manifests_moved_at``, ``read_again``: by surface, as in :class:`TenantDocuments`.
    """

    revision: int
    pointers: Pointers
    config: Config
    rules: tuple[Rule, ...]
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    unreadable: tuple[UnreadableDocument, ...] = ()
    copied: bool = False
    manifests_moved_at: Mapping[str, datetime] = field(default_factory=dict)
    read_again: Mapping[str, int] = field(default_factory=dict)

    def value(self, ref: DocumentRef) -> Config | tuple[Rule, ...] | Manifest | None:
        """One document; None: there is no such manifest."""
        if ref.kind is CONFIG:
            return self.config
        return self.rules if ref.kind is RULES else self.manifests.get(ref.surface)


def read_documents(documents: TenantDocuments, previous: DocumentPart | None = None) -> DocumentPart:
    """Read every current document of a tenant; for one that cannot be read, ``previous`` stands in.

    Without a ``previous`` it is what came with the documents as the earlier ones.

    Raises:
        UnreadableDocument: the first that cannot be read, when nothing is known that could stand in.
    """
    config, rules, pointers = Config(), tuple[Rule, ...](), documents.pointers
    manifests: dict[str, Manifest] = {}
    unreadable: list[UnreadableDocument] = []
    for ref, text in sorted(documents.texts.items()):
        value: Config | tuple[Rule, ...] | Manifest | None
        try:
            value = _read_document(ref, text)
        except UnreadableDocument as refusal:
            if previous is None:
                if documents.earlier is None:
                    raise
                previous = read_documents(documents.earlier)
            unreadable.append(refusal)
            value = previous.value(ref)
            pointers = pointers.moved(ref, previous.pointers.of(ref))
        if isinstance(value, Config):
            config = value
        elif isinstance(value, Manifest):
            manifests[ref.surface] = value
        elif value is not None:
            rules = value
    return DocumentPart(
        documents.revision,
        pointers,
        config,
        rules,
        manifests,
        tuple(unreadable),
        documents.copied,
        documents.manifests_moved_at,
        documents.read_again,
    )


def is_readable(ref: DocumentRef, text: str) -> bool:
    """Whether this code can read a stored document."""
    try:
        _read_document(ref, text)
    except UnreadableDocument:
        return False
    return True


def _read_document(ref: DocumentRef, text: str) -> Config | tuple[Rule, ...] | Manifest:
    """The typed form of a document."""
    try:
        value = canonical.parse(text.encode())
        if ref.kind is CONFIG:
            return read_config(value)
        if ref.kind is RULES:
            return tuple(read_rules(value))
        return read_manifest(value)
    except InvalidRequest as error:
        raise UnreadableDocument(ref, error.detail) from error
    except Exception as error:
        # Whatever today's code stumbles over, the tenant keeps what was good.
        raise UnreadableDocument(ref, repr(error)) from error


@dataclass(frozen=True, slots=True, eq=False)
class SignalPart:
    """The signals of one surface. Remembers the popularity order per half-life, so that a change back is immediate."""

    signals: SurfaceSignals
    source: SignalSource = field(default_factory=SignalSource)
    """What the signals were made from."""
    _rankings: OrderedDict[float | None, PopularityRanking] = field(default_factory=OrderedDict)

    @property
    def data_revision(self) -> int:
        """The data revision of the rows that these signals were made from; 0: of none."""
        return self.source.data_revision

    def popularity(self, half_life_days: float | None) -> PopularityRanking:
        """The popularity order for a half-life."""
        found = self._rankings.get(half_life_days)
        if found is None:
            found = self._rankings[half_life_days] = rank_popularity(self.signals, half_life_days)
            if len(self._rankings) > _HALF_LIVES_KEPT:
                self._rankings.popitem(last=False)
        return found


def build_part(rows: SurfaceRows) -> SignalPart:
    """Turn a surface's rows into signals; seconds of work for a large surface, so not for the event loop."""
    return SignalPart(build_signals(rows), SignalSource(rows.data_revision, rows.load_id))


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that is needed to answer for a tenant, of one revision and one data revision."""

    tenant_id: str
    external_id: str
    data_revision: int
    documents: DocumentPart
    parts: Mapping[str, SignalPart]
    surfaces: Mapping[str, ServedSurface]

    @property
    def revision(self) -> int:
        """The tenant's revision that the documents belong to."""
        return self.documents.revision


def compose(
    tenant: Tenant,
    documents: DocumentPart,
    parts: Mapping[str, SignalPart],
    previous: Snapshot | None,
    *,
    data_revision: int,
    now: datetime,
) -> Snapshot:
    """Put a snapshot together; what neither its documents nor its signals changed is taken over from ``previous``.

    ``now`` only decides which rules are laid over each other ahead of the first request.
    """
    surfaces = {}
    for name, part in parts.items():
        kept = previous is not None and previous.documents is documents and previous.parts.get(name) is part
        surfaces[name] = previous.surfaces[name] if previous and kept else ServedSurface(name, documents, part, now)
    return Snapshot(tenant.id, tenant.external_id, data_revision, documents, dict(parts), surfaces)


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotCatalogue:
    """What lint may ask about a tenant's items (:class:`recsys.domain.catalogue.Catalogue`, and its surfaces)."""

    parts: Mapping[str, SignalPart]

    def has_surface(self, surface: str) -> bool:
        """Whether the surface has data."""
        return surface in self.parts

    def describes(self, surface: str) -> bool:
        """Whether a tag or a price of any item of the surface is known."""
        return any(each.tags or not np.isnan(each.prices).all() for each in self._of(surface))

    def having(self, signal: str) -> dict[str, bool]:
        """The surfaces with data, and whether each has this signal, a field of :class:`SurfaceSignals`."""
        fields = ("session", "sessions") if signal == "session" else (signal,)
        return {
            name: any(getattr(part.signals, field) is not None for field in fields) for name, part in self.parts.items()
        }

    def has_item(self, surface: str | None, item_id: str) -> bool:
        return any(signals.ids.index(item_id) >= 0 for signals in self._of(surface))

    def count_tagged(self, surface: str | None, tag: str) -> int:
        return sum(
            signals.tag_items.length(signals.tag_index[tag])
            for signals in self._of(surface)
            if tag in signals.tag_index
        )

    def count_blocked(self, rules: Sequence[Rule], now: datetime) -> dict[str, tuple[int, int]]:
        """How many items of each surface these rules block at ``now``, and how many items it has."""
        return {
            name: (count_blocked(rules, part.signals, now), len(part.signals.ids))
            for name, part in sorted(self.parts.items())
        }

    def _of(self, surface: str | None) -> list[SurfaceSignals]:
        return [part.signals for name, part in self.parts.items() if surface in (None, name)]
