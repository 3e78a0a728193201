"""``POST /v1/events``: a verdict for every record, and an answer only once what was accepted is written."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from recsys.domain.canonical import InvalidJson
from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.event import MOST_RECORDS, Event, EventVerdict, EventVerdicts, read_event
from recsys.domain.validation import MOST_FAULTS, decode

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.service.state import Service

_BREATH = 100
"""Records read in a row; then other requests have their turn."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """The batch with its records unread: one that does not hold must not refuse the others."""

    events: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_RECORDS)]


class _LooseEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    """The same for the parser that names faults."""

    events: Annotated[list[Any], Meta(min_length=1, max_length=MOST_RECORDS)]


_decode = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode


async def take_events(service: Service, tenant_id: str, body: bytes) -> bytes:
    """Judge a batch, have what is new written, and answer.

    Raises:
        InvalidRequest: the envelope does not hold.
        NotReady: the log cannot be written.
        Overloaded: too many events wait to be written.
    """
    now = service.clock.now()
    read = await _read_records(_read_envelope(body), now)
    events = [each for each in read if isinstance(each, Event)]
    is_new = iter(await service.log.append(tenant_id, events, now) if events else ())
    results = [each if isinstance(each, EventVerdict) else _verdict(each, is_new=next(is_new)) for each in read]
    statuses = [each.status for each in results]
    counts = (statuses.count("accepted"), statuses.count("duplicate"), statuses.count("rejected"))
    service.metrics.events(*counts)
    return _encode(EventVerdicts(results, *counts))


def _verdict(event: Event, *, is_new: bool) -> EventVerdict:
    return EventVerdict(event.event_id, "accepted" if is_new else "duplicate")


async def _read_records(records: list[msgspec.Raw], now: datetime) -> list[Event | EventVerdict]:
    """Read records; all their faults together are bounded, but each that does not hold has at least one."""
    read: list[Event | EventVerdict] = []
    told = 0
    for number, record in enumerate(records, start=1):
        each = read_event(bytes(record), now, max(1, MOST_FAULTS - told))
        if isinstance(each, EventVerdict):
            told += len(each.faults)
        read.append(each)
        if number % _BREATH == 0:
            await asyncio.sleep(0)
    return read


def _read_envelope(body: bytes) -> list[msgspec.Raw]:
    try:
        records = _decode(body).events
    except (ValueError, RecursionError):
        decode(body, _LooseEnvelope)
        raise InvalidJson(faults=[Fault("", "Not JSON as this service takes it.")]) from None
    if (body.count(b'"events"') != 1 or b"\\" in body) and _members(body) != 1:
        raise InvalidRequest(faults=[Fault("/events", "The key 'events' stands twice in one object.")])
    return records


def _members(body: bytes) -> int:
    """How many members the outermost object has, equal names counted."""
    try:
        return len(json.loads(body, object_pairs_hook=list))
    except (ValueError, RecursionError):
        raise InvalidJson(faults=[Fault("", "Not JSON as this service takes it.")]) from None
