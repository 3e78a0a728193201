"""Records of a batch of events: what holds, and what is said of what does not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recsys.domain.event import Event, EventVerdict, event_line, read_event
from recsys.domain.subject import SubjectKeys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VIEW: dict[str, Any] = {
    "event_id": "e1", "type": "view", "surface": "home", "item_id": "i1", "user": {"user_id": "ann", "session_id": "s"},
}  # fmt: skip


def read(most_faults: int = 100, **changes: Any) -> Event | EventVerdict:
    fields = {name: value for name, value in (VIEW | changes).items() if value is not ...}
    return read_event(json.dumps(fields).encode(), NOW, most_faults)


def faults(**changes: Any) -> list[tuple[str, str | None]]:
    found = read(**changes)
    assert isinstance(found, EventVerdict), found
    assert found.status == "rejected"
    return [(fault.pointer, fault.did_you_mean) for fault in found.faults]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"type": "click", "request_id": "r-1"},
        {"type": "add_to_cart", "quantity": 2},
        {"type": "purchase", "value": 0, "currency": "EUR", "quantity": 1},
        {"type": "conversion", "item_id": ..., "value": 12.5},
        {"occurred_at": (NOW + timedelta(hours=24)).isoformat()},
        {"occurred_at": "2000-01-01T00:00:00Z"},
        {"event_id": "x" * 128},
        {"item_id": 'quote " and é'},
    ],
    ids=str,
)
def test_records_that_hold(changes: dict[str, Any]) -> None:
    found = read(**changes)
    assert isinstance(found, Event), found


@pytest.mark.parametrize(
    ("changes", "pointer", "meant"),
    [
        ({"event_id": ...}, "/event_id", None),
        ({"event_id": ""}, "/event_id", None),
        ({"event_id": "x" * 129}, "/event_id", None),
        ({"event_id": 7}, "/event_id", None),
        ({"type": "clik"}, "/type", "click"),
        ({"type": None}, "/type", None),
        ({"surface": "../etc"}, "/surface", None),
        ({"item_id": ...}, "/item_id", None),
        ({"item_id": "a\0b"}, "/item_id", None),
        ({"item_id": "\ud800"}, "/item_id", None),
        ({"itemid": "i1"}, "/itemid", "item_id"),
        ({"user": {}}, "/user", None),
        ({"user": ...}, "/user", None),
        ({"user": {"usr_id": "ann"}}, "/user/usr_id", "user_id"),
        ({"occurred_at": "2026-03-02T12:00:01Z"}, "/occurred_at", None),
        ({"occurred_at": "1999-12-31T23:59:59Z"}, "/occurred_at", None),
        ({"occurred_at": "2026-03-01T12:00:00"}, "/occurred_at", None),
        ({"occurred_at": "yesterday"}, "/occurred_at", None),
        ({"occurred_at": "9999-12-31T23:59:59-23:59"}, "/occurred_at", None),
        ({"occurred_at": 0}, "/occurred_at", None),
        ({"value": 1}, "/value", None),
        ({"type": "purchase", "value": -0.01}, "/value", None),
        ({"type": "purchase", "value": "12"}, "/value", None),
        ({"type": "purchase", "value": 1, "currency": "eur"}, "/currency", None),
        ({"type": "purchase", "currency": "EUR"}, "/currency", None),
        ({"type": "click", "quantity": 1}, "/quantity", None),
        ({"type": "purchase", "quantity": 0}, "/quantity", None),
    ],
    ids=str,
)
def test_records_that_do_not_hold_say_where(changes: dict[str, Any], pointer: str, meant: str | None) -> None:
    assert faults(**changes) == [(pointer, meant)]


def test_all_faults_of_a_record_are_told_up_to_a_bound() -> None:
    assert [pointer for pointer, _ in faults(type="x", surface="", vlue=1)] == ["/type", "/surface", "/vlue"]
    bounded = read(most_faults=1, type="x", surface="", vlue=1)
    assert isinstance(bounded, EventVerdict)
    assert len(bounded.faults) == 1


@pytest.mark.parametrize(
    ("record", "event_id"),
    [
        (b'{"event_id": "e1", "type": "view", "type": "click"}', "e1"),
        (b'{"event_id": "e1", "surface": "\xff"}', "e1"),
        (b'{"event_id": "e1", "value": NaN}', "e1"),
        (b'{"event_id": "e1", "value": 1e999}', "e1"),
        (b'{"event_id": "e\\u0065"}', "ee"),
        (b"[]", None),
        (b"null", None),
        (b"7", None),
        (b"[" * 100_000 + b"]" * 100_000, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_event_at_all_is_rejected(record: bytes, event_id: str | None) -> None:
    found = read_event(record, NOW, 100)
    assert isinstance(found, EventVerdict)
    assert (found.status, found.event_id) == ("rejected", event_id)
    assert found.faults


def test_the_line_has_keys_in_place_of_people_and_utc() -> None:
    found = read(occurred_at="2026-03-01T13:00:00+02:00")
    assert isinstance(found, Event)
    keys = SubjectKeys(b"0123456789abcdef")
    line = msgspec.json.decode(msgspec.json.encode(event_line(found, "t1", NOW, keys)))
    assert line == {
        "schema": "event_v1",
        "tenant_id": "t1",
        "event_id": "e1",
        "type": "view",
        "surface": "home",
        "subject": keys.key("t1", "user_id", "ann"),
        "session": keys.key("t1", "session_id", "s"),
        "occurred_at": "2026-03-01T11:00:00Z",
        "received_at": "2026-03-01T12:00:00Z",
        "item_id": "i1",
    }


def test_without_a_time_of_its_own_an_event_occurred_when_it_was_received() -> None:
    found = read()
    assert isinstance(found, Event)
    assert event_line(found, "t1", NOW, SubjectKeys(b"0123456789abcdef")).occurred_at == NOW
