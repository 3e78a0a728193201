"""``POST /v1/events``: a verdict for every record, and an answer only once what was accepted is written."""

from __future__ import annotations

import asyncio
import json
import re
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
_SCANNER = json.JSONDecoder(parse_int=str)
_OPENING = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*"events"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*')
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_CLOSING = re.compile(r"[ \t\n\r]*\][ \t\n\r]*\}[ \t\n\r]*\Z")


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
        if apart := _take_apart(body):
            return apart
        decode(body, _LooseEnvelope)
        raise InvalidJson(faults=[Fault("", "Not JSON as this service takes it.")]) from None
    if (body.count(b'"events"') != 1 or b"\\" in body) and _members(body) != 1:
        raise InvalidRequest(faults=[Fault("/events", "The key 'events' stands twice in one object.")])
    return records


def _take_apart(body: bytes) -> list[msgspec.Raw] | None:
    """The records of a batch in which one has half a character, say: JSON, but refused by the quick parser as a whole.

    None: the envelope does not hold, or has too many records.
    """
    text = body.decode("utf-8", "surrogateescape")  # whose bytes are wrong is seen record by record
    opening = _OPENING.match(text)
    at, records = opening.end() if opening else len(text), list[msgspec.Raw]()
    try:
        while len(records) < MOST_RECORDS:
            _, end = _SCANNER.raw_decode(text, at)
            records.append(msgspec.Raw(text[at:end].encode("utf-8", "surrogateescape")))
            if _CLOSING.match(text, end):
                return records
            if (comma := _COMMA.match(text, end)) is None:
                return None
            at = comma.end()
    except (ValueError, RecursionError):
        pass
    return None


def _members(body: bytes) -> int:
    """How many members the outermost object has, equal names counted."""
    try:
        return len(json.loads(body.decode("utf-8", "replace"), object_pairs_hook=list, parse_int=str))
    except (ValueError, RecursionError):
        raise InvalidJson(faults=[Fault("", "Not JSON as this service takes it.")]) from None
