"""One raw event as it comes: what fields it may have, and what a fault in it is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from recsys.domain.errors import InvalidRequest
from recsys.domain.event import AHEAD, EARLIEST, MAX_ID, EventType
from recsys.domain.names import ItemId, Segment
from recsys.domain.recommend import User
from recsys.domain.subject import SubjectKeys
from recsys.domain.validation import check_time
from recsys.pipelines.errors import PipelineError

Reason = Literal[
    "line_too_long",
    "unfinished",
    "bad_utf8",
    "malformed",
    "nul",
    "missing_field",
    "invalid_field",
    "wrong_tenant",
    "future",
    "too_early",
    "no_user",
    "duplicate",
]

DEFAULT_SEGMENT: Final = "default"
_Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
_Key = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}(?!\n)$")]
_ShortId = Annotated[str, Meta(min_length=1, max_length=512)]
_NOBODY: Final = User()


class RecordUser(msgspec.Struct, frozen=True, gc=False):
    """What stands under ``user`` of a raw event; other fields are not looked at."""

    user_id: _ShortId | None = None
    anonymous_id: _ShortId | None = None
    session_id: _ShortId | None = None


class Record(msgspec.Struct, frozen=True, gc=False):
    """A raw event, or a line of the service's log. Of fields that mean the same, give one; others are not looked at.

    ``subject`` and ``session`` are keys already, as in the log; ``user_id``, ``anonymous_id``, ``session_id`` (each
    from under ``user``, else from the top) become keys.
    """

    event_id: _Id
    schema: str | None = None
    type: EventType | None = None
    event_type: EventType | None = None
    at: datetime | None = None
    occurred_at: datetime | None = None
    received_at: datetime | None = None
    tenant: str | None = None
    tenant_id: str | None = None
    surface: str | None = None
    segment: Segment | None = None
    subject: _Key | None = None
    session: _Key | None = None
    user: RecordUser | None = None
    user_id: _ShortId | None = None
    anonymous_id: _ShortId | None = None
    session_id: _ShortId | None = None
    item_id: ItemId | None = None
    value: Annotated[float, Meta(ge=0, le=1e12)] | None = None


class SetAside(NamedTuple):
    """Why a record does not count, and what to look at in it."""

    reason: Reason
    detail: str


class Elsewhere(NamedTuple):
    """A good record of another surface."""


class Row(NamedTuple):
    """An event in canonical form, without tenant and surface, which all of a run share. ``at``: µs since 1970."""

    event_id: str
    at: int
    segment: str
    user_id: str
    session_id: str
    item_id: str
    event_type: str
    value: float | None
    late: bool


@dataclass(frozen=True)
class Judge:
    """Decides about records. ``tenants``: the names of the one whose events are wanted; ``tenant_id``: its UUID."""

    tenant_id: str
    tenants: frozenset[str]
    surface: str
    now: datetime
    keys: SubjectKeys

    def judge(self, record: Record) -> Row | SetAside | Elsewhere:
        """Make a record a row, or say why not."""
        tenant = record.tenant_id or record.tenant
        if tenant is not None and tenant not in self.tenants:
            return SetAside("wrong_tenant", f"tenant: {tenant!r} is not the tenant of this run.")
        if record.surface is not None and record.surface != self.surface:
            return Elsewhere()
        kind, at, who = record.event_type or record.type, record.at or record.occurred_at, _who(record)
        if fault := self._fault(record, kind, at, who):
            return fault
        assert kind is not None  # noqa: S101 - a missing one is a fault
        assert at is not None  # noqa: S101 - as above
        user = record.subject or (self._salted().of(self.tenant_id, who) if who != _NOBODY else "")
        session = record.session or (
            self._salted().key(self.tenant_id, "session_id", who.session_id) if who.session_id else ""
        )
        if not user and not session:
            return SetAside("no_user", "user_id: give at least one of user_id, anonymous_id and session_id.")
        received = record.received_at
        return Row(
            event_id=record.event_id,
            at=_microseconds(at),
            segment=record.segment or DEFAULT_SEGMENT,
            user_id=user,
            session_id=session,
            item_id=record.item_id or "",
            event_type=kind,
            value=record.value,
            late=received is not None and received.astimezone(UTC).date() > at.astimezone(UTC).date(),
        )

    def _fault(self, record: Record, kind: EventType | None, at: datetime | None, who: User) -> SetAside | None:
        if kind is None:
            return SetAside("missing_field", "event_type: required, but missing.")
        if at is None:
            return SetAside("missing_field", "at: required, but missing.")
        if at.tzinfo is None:
            return SetAside("invalid_field", "at: it needs a time zone, Z for UTC.")
        if at > self.now + AHEAD:
            return SetAside("future", f"at: {at.isoformat()} is more than 24 hours ahead.")
        if at < EARLIEST:
            return SetAside("too_early", f"at: {at.isoformat()} is before the year 2000.")
        if record.item_id is None and kind != "conversion":
            return SetAside("missing_field", "item_id: required, but missing: only a conversion may be without.")
        texts = (record.event_id, record.item_id, who.user_id, who.anonymous_id, who.session_id)
        if any(text is not None and "\0" in text for text in texts):
            return SetAside("nul", "A text has a NUL character.")
        return _received_fault(record.received_at)

    def _salted(self) -> SubjectKeys:
        if not self.keys.ready:
            raise PipelineError(
                "The events name users, and there is no salt to make keys of them: serving would not know them again.",
                "Set RECSYS_SUBJECT_SALT to the service's, or RECSYS_LOG_DIR to its log, where its salt is.",
            )
        return self.keys


def _who(record: Record) -> User:
    """Each id from under ``user``, else from the top: some senders give the user here and the session there."""
    own = record.user
    if own is None:
        return User(user_id=record.user_id, anonymous_id=record.anonymous_id, session_id=record.session_id)
    return User(
        user_id=own.user_id or record.user_id,
        anonymous_id=own.anonymous_id or record.anonymous_id,
        session_id=own.session_id or record.session_id,
    )


def _received_fault(received: datetime | None) -> SetAside | None:
    if received is None:
        return None
    if received.tzinfo is None:
        return SetAside("invalid_field", "received_at: it needs a time zone, Z for UTC.")
    try:
        check_time(received, "/received_at")
    except InvalidRequest as error:
        return SetAside("invalid_field", f"received_at: {error.faults[0].detail}")
    return None


def _microseconds(at: datetime) -> int:
    since = at.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
