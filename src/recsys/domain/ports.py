"""What the use cases and the replica need from the outside world, as Protocols; ``storage`` implements them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias

import msgspec
import numpy.typing as npt

from recsys.domain.api_key import ApiKey
from recsys.domain.document import DocumentRef, Draft, Version
from recsys.domain.tenant import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from recsys.domain.access import Actor
    from recsys.domain.audit import AuditCursor, AuditEntry, AuditRecord
    from recsys.domain.catalogue import Dataset, LoadMode, Row, SurfaceRows
    from recsys.domain.document import Pointer, VersionInfo
    from recsys.domain.event import Event
    from recsys.domain.exposure import Exposure
    from recsys.domain.history import LedgerEntry, Pointers, UsedKey
    from recsys.domain.quarantine import QuarantinedVersion
    from recsys.domain.replica import ReplicaIdentity, ReplicaReport, Roster
    from recsys.domain.tenant import TenantSettings

Arrays: TypeAlias = "Mapping[str, npt.NDArray[Any]]"


class Clock(Protocol):
    """Where the time comes from; always UTC with a zone."""

    def now(self) -> datetime:
        """The time now."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One pointer move, from what was found under the lock to a stored version, a new one, or none (cleared)."""

    ref: DocumentRef
    before: Version | None
    after: Version | Draft | None


class Reader(Protocol):
    """A consistent view of the control plane: everything read through one reader belongs to one moment.

    Raises:
        NotReady: from every method, when the database cannot be reached.
    """

    async def tenant(self, reference: str) -> Tenant:
        """A tenant by UUID or external id. Raises TenantNotFound."""

    async def tenants(self, limit: int, after: str | None) -> list[Tenant]:
        """Tenants in order of external id (by code point), from after ``after``."""

    async def pointer(self, tenant_id: str, ref: DocumentRef) -> Pointer | None:
        """The current version of a document; None when it has none."""

    async def version(self, tenant_id: str, ref: DocumentRef, etag: str) -> Version | None:
        """A stored version; None when there is no such one for this document."""

    async def versions(
        self, tenant_id: str, ref: DocumentRef, limit: int, before: datetime | None
    ) -> list[VersionInfo]:
        """Stored versions, newest first."""

    async def ledger(self, tenant_id: str, limit: int, before_revision: int | None) -> list[LedgerEntry]:
        """Ledger entries, newest first."""

    async def ledger_entry(self, tenant_id: str, revision: int) -> LedgerEntry | None:
        """The ledger entry of a revision; None when there is none (revision 0, or one of the future)."""

    async def ledger_at(self, tenant_id: str, at: datetime) -> LedgerEntry | None:
        """The ledger entry in force at a time; None before the first."""

    async def ledger_labelled(
        self, tenant_id: str, label: str, before_revision: int | None = None
    ) -> LedgerEntry | None:
        """The latest entry with a label, of those older than ``before_revision``."""

    async def quarantined(self, tenant_id: str) -> list[QuarantinedVersion]:
        """Every version of a tenant that is under quarantine, latest first."""

    async def used_key(self, tenant_id: str, key: str) -> UsedKey | None:
        """What an ``Idempotency-Key`` was used for."""

    async def moves_of(
        self, tenant_id: str, ref: DocumentRef, limit: int, before_revision: int | None = None
    ) -> list[LedgerEntry]:
        """The entries that moved this document's pointer, newest first, of those older than ``before_revision``."""

    async def audit(
        self, tenant_id: str | None, limit: int, cursor: AuditCursor | None, *, states: bool = True
    ) -> list[AuditEntry]:
        """Audit entries, newest first; ``tenant_id`` None: the platform's own.

        ``states``: with the states before and after; there may be fewer entries then, see ``STATES_AT_ONCE``.
        """

    async def audit_entry(self, tenant_id: str, audit_id: int) -> AuditEntry | None:
        """One audit entry of a tenant."""

    async def api_keys(self, tenant_id: str | None) -> list[ApiKey]:
        """A tenant's keys (None: platform keys), oldest first, revoked ones too."""


class TenantTransaction(Reader, Protocol):
    """A change of one tenant: its row and pointers are locked, and everything is written when the block ends well.

    Writes are visible to the reads that follow in the same transaction. ``now``: the time that what is written carries.
    """

    locked: Tenant
    now: datetime

    async def standing(self, ref: DocumentRef, etag: str) -> tuple[Pointer | None, Version | None]:
        """What :meth:`pointer` and :meth:`version` say of a document of the locked tenant, at once."""

    async def move(
        self,
        moves: Sequence[Move],
        *,
        action: str,
        records: Sequence[AuditRecord],
    ) -> LedgerEntry:
        """Raise the revision once for all moves: versions that are new, ledger entry, pointers, audit, notification.

        ``action`` names the ledger entry, ``records`` become the audit entries (one per moved document).
        """

    async def use_key(self, key: UsedKey) -> None:
        """Remember what an ``Idempotency-Key`` was used for."""

    async def label(self, revision: int, label: str, record: AuditRecord) -> None:
        """Put a label on a revision; the same label twice is one label."""

    async def unlabel(self, revision: int, label: str, record: AuditRecord) -> None:
        """Take a label off a revision; taking it off twice is taking it off."""

    async def quarantine(self, ref: DocumentRef, etag: str, reason: str, record: AuditRecord) -> None:
        """Put a stored version that is not under quarantine there, by the actor, now."""

    async def lift_quarantine(self, ref: DocumentRef, etag: str, record: AuditRecord) -> None:
        """Take a version out of quarantine."""

    async def update(self, settings: TenantSettings, record: AuditRecord) -> Tenant:
        """Change tenant settings; a change of status raises the data revision."""

    async def add_api_key(self, key: ApiKey, record: AuditRecord) -> None:
        """Store a key and raise the data revision."""

    async def revoke_api_key(self, key_id: str, at: datetime, record: AuditRecord) -> None:
        """Mark a key revoked and raise the data revision; a second time changes nothing."""

    async def invalidate(self, targets: Sequence[str], surface: str | None, record: AuditRecord) -> int:
        """Record a cache invalidation, raise the counter that replicas watch, and give the event's id."""


class ControlStore(Protocol):
    """The control plane's database."""

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """A consistent read-only view. Reads never write."""

    async def tenant(self, reference: str) -> Tenant:
        """A tenant by UUID or external id, as it is now. Raises TenantNotFound, NotReady."""

    def changing(self, reference: str, actor: Actor) -> AbstractAsyncContextManager[TenantTransaction]:
        """Lock a tenant (UUID or external id) for a change by ``actor``; commit at the end, roll back on an error.

        Raises:
            TenantNotFound: no such tenant.
            Overloaded: the lock could not be had in time.
        """

    async def create_tenant(self, tenant: Tenant, actor: Actor, record: AuditRecord) -> None:
        """Create a tenant. Raises Unprocessable when the external id is taken."""

    async def add_platform_key(self, key: ApiKey, actor: Actor, record: AuditRecord) -> None:
        """Store a key that belongs to no tenant."""

    async def revoke_platform_key(self, key_id: str, at: datetime, actor: Actor, record: AuditRecord) -> None:
        """Mark a platform key revoked; a second time changes nothing. Raises NotFound when there is no such key."""

    async def load(
        self,
        tenant_id: str,
        surface: str,
        dataset: Dataset,
        rows: Iterable[Row],
        mode: LoadMode,
        actor: Actor,
        record: AuditRecord,
    ) -> int:
        """Write validated rows in one transaction, all or nothing, and raise the data revision, which is returned.

        ``rows`` are gone through once, on other threads than the caller's, and never held all at once.

        Raises:
            TenantNotFound: no such tenant.
            Frozen: the tenant takes no loads, at the moment of the commit; nothing was written.
        """


class TenantHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica compares to know whether it is behind."""

    tenant: Tenant
    surfaces: dict[str, int]
    """The surfaces that have data, each with the data revision that last changed it."""
    load_ids: dict[str, str] = {}
    """Of these surfaces, what names their last load (a UUID); absent when it was loaded before loads had names."""
    moved_at: str | None = None
    """When the ledger says that ``tenant.revision`` was made, in the database's own words; None: it says nothing.

    A database that was restored can reach the same revision again, but not at the same time.
    """


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All tenants and their revisions, and all keys that are not revoked, platform keys among them.

    ``read_at``: a database time before the read began, so that every commit until then is in it; None when it was not
    read from the database.
    """

    heads: list[TenantHead]
    keys: list[ApiKey]
    copied_at: datetime | None = None
    """When this was read, where it comes from a copy since the database cannot be reached; None: it was read now."""
    read_at: datetime | None = None


class TenantDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """Every current document of a tenant, all as of ``revision``."""

    tenant_id: str
    revision: int
    pointers: Pointers
    texts: dict[DocumentRef, str]
    manifests_moved_at: dict[str, datetime] = {}
    """When the manifest of each surface became what it is."""
    read_again: dict[str, int] = {}
    """By surface, the number of the last request to read its artifacts anew, where there was one."""
    copied: bool = False
    """Whether they come from a copy, since the database cannot be reached."""
    earlier: TenantDocuments | None = None
    """What stood here before, where that is known: for those who cannot read what stands here now."""


class ServingStore(Protocol):
    """What replicas read; every method is one consistent view. Raises NotReady without the database."""

    async def overview(self) -> Overview:
        """What to compare with, and who may ask."""

    async def documents(self, tenant_id: str) -> TenantDocuments:
        """The current documents. Raises TenantNotFound."""

    async def surface_rows(self, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        """All rows of a surface, or those of its items, with the data revision that they belong to."""


class ChangeFeed(Protocol):
    """Who tells a replica of changes, so that it need not ask all the time. It may lose some: replicas ask as well."""

    @property
    def healthy(self) -> bool:
        """Whether changes are heard of."""

    def start(self, heard: Callable[[str], None]) -> None:
        """Begin to listen. ``heard`` is called on the event loop when something changed, and when it may have.

        It gets the id of the tenant that changed, or ``""`` when it was none, or may be any.
        """

    async def stop(self) -> None:
        """Listen no more."""


class FeedObserver(Protocol):
    """Who is told how the feed fares. Must not block."""

    def listening(self, *, healthy: bool) -> None:
        """Changes are heard of from now on, or no longer."""


class OpenInvalidation(msgspec.Struct, frozen=True, kw_only=True):
    """A request to read again that not every replica has confirmed yet."""

    event_id: int
    tenant_id: str
    number: int


class ReplicaRegistry(Protocol):
    """Where replicas say how far they are. Times are the database's. Raises NotReady or Overloaded without it."""

    async def roster(self) -> Roster:
        """The live replicas, now."""

    async def write(self, replica: ReplicaIdentity, report: ReplicaReport) -> None:
        """Say how far a replica is, and that it lives."""

    async def remove(self, replica_ids: Collection[str]) -> None:
        """Delete the rows of replicas that are known to be gone, and of those whose lease has run out."""

    async def nudge(self, tenant_id: str) -> None:
        """Have replicas look at a tenant, as if it had changed."""

    async def open_invalidations(self) -> list[OpenInvalidation]:
        """What was requested and is not known to be applied everywhere."""

    async def close_invalidation(self, event_id: int) -> None:
        """Record that every live replica has read again; a second time changes nothing."""


class ReplicaClaims(Protocol):
    """What tells the replicas of a run which of them died: a lock that the system releases. Not for the event loop."""

    def take(self, replica_id: str) -> None:
        """Show that this replica lives for as long as its process does."""

    def orphans(self) -> list[str]:
        """The replicas of this run that have died; each is named until it is forgotten."""

    def forget(self, replica_ids: Collection[str]) -> None:
        """These have been seen to."""

    def release(self) -> None:
        """This replica ends."""


class SignalKey(msgspec.Struct, frozen=True, kw_only=True):
    """What compiled signals were made from, and how.

    ``load_id`` tells apart two loads of one data revision, which a database restored to an older state can give; both
    are 0 and "" where no rows took part. ``manifest_version``: whose artifacts took part; ``read_again``: the number of
    the request to read them anew. ``layout`` is raised when the arrays change their meaning.
    """

    tenant_id: str
    surface: str
    data_revision: int
    load_id: str
    layout: int
    manifest_version: str | None = None
    read_again: int = 0


class SignalFiles(Protocol):
    """Compiled signals, kept where the replicas of a host share them: named arrays, read-only once they are kept.

    What goes wrong with it is logged, once, and is as if nothing were kept. Methods that are not coroutines may take
    seconds: not for the event loop.
    """

    def find(self, key: SignalKey, *, verify: bool) -> Arrays | None:
        """What is kept under exactly this key; None when there is nothing or it is damaged, and is then removed.

        ``verify=False`` gives only what is known to be whole, without looking.
        """

    def keep(self, key: SignalKey, arrays: Arrays) -> Arrays | None:
        """Keep arrays and give back the kept ones; None when that failed."""

    def settle(self, key: SignalKey) -> None:
        """Wait until what is kept would outlast a power failure; then it takes the place of older loads.

        Those of the last few manifests stay, since a rollback may go back to them.
        """

    def remove(self, key: SignalKey) -> None:
        """Forget what is kept under this key."""

    def kept(self, tenant_id: str, surface: str, layout: int) -> list[SignalKey]:
        """What is kept of a surface in this layout, the latest first, by when it was kept."""

    def remove_others(self, keys: Collection[SignalKey]) -> None:
        """Forget what has been kept for a day or longer under none of these keys.

        Where one of them is of a manifest, what is kept of others of the same surface stays.
        """

    def building(self, key: SignalKey) -> AbstractAsyncContextManager[None]:
        """Wait until nobody else on the host builds this surface, and keep others waiting until the end."""


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a blob store says of a blob without reading it. ``modified_at``: when it was last put."""

    name: str
    size: int
    modified_at: datetime


class BlobStore(Protocol):
    """Files of any size under names of parts with ``/`` between them; a part has letters, digits, ``_``, ``-``, ``.``.

    A name that could lead anywhere else is refused by every method. A blob whose last part is a SHA-256 and ``.arrow``
    has that content or is refused.

    Raises:
        NotReady: from every method, when the store cannot be reached, or does not allow it.
        ArtifactIncompatible: from every method, for such a name.
    """

    async def put(self, name: str, content: bytes | memoryview) -> None:
        """Keep a content: all of it or, whatever happens, nothing. Again replaces it."""

    async def get(self, name: str) -> memoryview:
        """The content, read-only; pages of a file on this host for what is large.

        Raises:
            NotFound: there is no such blob.
            ArtifactIncompatible: it is larger than allowed, or not what its name says.
        """

    async def find(self, name: str) -> BlobInfo | None:
        """What is known about a blob; None when there is none."""

    async def list_below(self, prefix: str) -> list[BlobInfo]:
        """All blobs whose names begin with these parts, in order of their names."""

    async def forget(self, name: str) -> None:
        """Believe nothing that was found out about a blob: whoever gets it next looks at all of it again."""

    async def delete(self, name: str) -> None:
        """Remove a blob; whoever reads it may finish. Removing it twice is removing it."""


class EventLog(Protocol):
    """Where exposures and events go. It is written off the path of a request."""

    def start(self) -> None:
        """Begin to take exposures; events are taken from the first on."""

    def expose(self, exposure: Exposure) -> None:
        """Hand an exposure over; never waits. One too many is dropped, and counted."""

    async def append(self, tenant_id: str, events: Sequence[Event], received_at: datetime) -> list[bool]:
        """Write events, and say which of them are new: the others were accepted before, by their id.

        Returns only when all of them are written.

        Raises:
            NotReady: the log cannot be written; the events may be sent again.
            Overloaded: too many wait already.
        """

    async def stop(self) -> None:
        """Write what is waiting, and end."""


class LogObserver(Protocol):
    """Who is told how the log fares. All but ``exposure_refused`` are called by the thread that writes."""

    def exposure_refused(self) -> None:
        """An exposure found the queue full."""

    def exposures_lost(self, count: int) -> None:
        """Exposures that could not be written."""

    def exposures_written(self, count: int) -> None:
        """Exposures that were written."""

    def log_failed(self) -> None:
        """A write failed."""

    def queued(self, records: int) -> None:
        """How many exposures wait."""


class SourceFile(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A file of raw events. ``version`` changes whenever its content may have."""

    name: str
    size: int
    version: str


class SourceFiles(Protocol):
    """Where raw events and catalogues lie: a folder or an object store. Nothing is ever written to it."""

    def files(self) -> list[SourceFile]:
        """What there is, in order of name. Raises OSError."""

    def left_out(self) -> list[str]:
        """The names of what lies there and is taken for something else, by its ending. Raises OSError."""

    def open(self, file: SourceFile) -> BinaryIO:
        """Read a file from its beginning; it can be wound back. Raises OSError."""
