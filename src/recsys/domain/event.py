"""Events: what users did, sent by integrators in batches and judged record by record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from recsys.domain.canonical import has_plain_keys, parse
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.names import CURRENCY_PATTERN, ItemId, Surface
from recsys.domain.recommend import User
from recsys.domain.validation import convert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.domain.subject import SubjectKeys

EventType = Literal["view", "click", "add_to_cart", "purchase", "conversion"]

MOST_RECORDS = 1_000
MAX_ID = 128
AHEAD = timedelta(hours=24)
"""How far a client's clock may be ahead of ours."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before this lies only the clock of a device that was never set."""

_WITH_VALUE = ("purchase", "conversion")
_WITH_QUANTITY = ("add_to_cart", *_WITH_VALUE)


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One record of ``POST /v1/events``: what a user did.

    ``event_id`` is the client's own and makes sending again harmless. ``request_id`` is that of the answer which
    showed the item. ``occurred_at``: default the time of receipt. ``value`` and ``currency`` go with a purchase or a
    conversion, ``quantity`` with an add_to_cart too. Only a conversion may be without an item.
    """

    event_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    type: EventType
    surface: Surface
    user: User = User()
    item_id: ItemId | None = None
    request_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None
    value: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    currency: Annotated[str, Meta(pattern=CURRENCY_PATTERN)] | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class EventBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/events``."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST_RECORDS)]


class EventVerdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one record; the pointers of its faults are within the record.

    ``event_id`` is null where it could not be read.
    """

    event_id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    faults: list[Fault] = []


class EventVerdicts(msgspec.Struct, frozen=True):
    """The answer of ``/v1/events``: a verdict per record, in the order of the records."""

    results: list[EventVerdict]
    accepted: int
    duplicates: int
    rejected: int


class EventLine(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="schema", tag="event_v1"
):
    """A line of the log. ``subject`` and ``session`` are keys, see :mod:`recsys.domain.subject`."""

    tenant_id: str
    event_id: str
    type: EventType
    surface: str
    subject: str
    occurred_at: datetime
    received_at: datetime
    session: str | None = None
    item_id: str | None = None
    request_id: str | None = None
    value: float | None = None
    currency: str | None = None
    quantity: int | None = None


_decode = msgspec.json.Decoder(Event).decode


def read_event(record: bytes, now: datetime, most_faults: int) -> Event | EventVerdict:
    """Read one record of a batch; a record that does not hold becomes the verdict that says so."""
    event_id: str | None = None
    try:
        event = _read_plain(record)
        if event is None:
            value = parse(record)
            event_id = _named(value)
            event = convert(value, Event, most_faults)
    except InvalidRequest as error:
        event_id = event_id or _find_id(record)
        return EventVerdict(event_id, "rejected", list(error.faults[:most_faults]))
    found = list(_meaning_faults(event, now))
    return EventVerdict(event.event_id, "rejected", found[:most_faults]) if found else event


def event_line(event: Event, tenant_id: str, received_at: datetime, subjects: SubjectKeys) -> EventLine:
    """What is written of an event: everything but who it was."""
    session = event.user.session_id
    return EventLine(
        tenant_id=tenant_id,
        event_id=event.event_id,
        type=event.type,
        surface=event.surface,
        subject=subjects.of(tenant_id, event.user),
        session=subjects.key(tenant_id, "session_id", session) if session else None,
        occurred_at=event.occurred_at.astimezone(UTC) if event.occurred_at else received_at,
        received_at=received_at,
        item_id=event.item_id,
        request_id=event.request_id,
        value=event.value,
        currency=event.currency,
        quantity=event.quantity,
    )


def _read_plain(record: bytes) -> Event | None:
    """Decode quickly what is plainly well-formed; None: the strict parser has to look."""
    if has_plain_keys(record):
        try:
            return _decode(record)
        except (ValueError, RecursionError):
            pass
    return None


def _named(value: object) -> str | None:
    """The id of a record that may be wrong in any other way."""
    event_id = value.get("event_id") if isinstance(value, dict) else None
    return event_id if isinstance(event_id, str) and len(event_id) <= MAX_ID else None


def _find_id(record: bytes) -> str | None:
    """The id of a record that the strict parser refuses for another of its fields: one with half a character, say."""
    try:
        members = json.loads(record.decode("utf-8", "surrogateescape"), object_pairs_hook=tuple, parse_int=float)
        ids = [value for key, value in members if key == "event_id"] if isinstance(members, tuple) else []
        parse(json.dumps(ids).encode())
    except (ValueError, RecursionError, InvalidRequest):
        return None
    return _named({"event_id": ids[0]}) if len(ids) == 1 else None


def _meaning_faults(event: Event, now: datetime) -> Iterator[Fault]:
    user = event.user
    if not (user.user_id or user.anonymous_id or user.session_id):
        yield Fault("/user", "Give at least one of user_id, anonymous_id and session_id.")
    if event.item_id is None and event.type != "conversion":
        yield Fault("/item_id", "Required, but missing: only a conversion may be without an item.")
    if event.occurred_at is not None and not EARLIEST <= event.occurred_at <= now + AHEAD:
        yield Fault("/occurred_at", "Must be between the year 2000 and 24 hours from now.")
    if event.value is not None and event.type not in _WITH_VALUE:
        yield Fault("/value", f"Only {' and '.join(_WITH_VALUE)} have a value.")
    if event.currency is not None and event.value is None:
        yield Fault("/currency", "A currency goes with a value.")
    if event.quantity is not None and event.type not in _WITH_QUANTITY:
        yield Fault("/quantity", f"Only {', '.join(_WITH_QUANTITY)} have a quantity.")
