"""``POST /v1/events`` and the exposures of answers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from recsys.domain.recommend import User
from tests.http.conftest import DEVELOPER, ITEMS, Api, assert_problem, build, load, recommend_body
from tests.unit.cli.conftest import run

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
INVALID = "RECSYS_INVALID_REQUEST"
PERSON = "ann@example.org"
AB = {"id": "ab", "salt": "s", "variants": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]}


def event(event_id: str = "e1", **changes: Any) -> dict[str, Any]:
    made = {"event_id": event_id, "type": "click", "surface": "home", "item_id": "i1", "user": {"user_id": PERSON}}
    return {name: value for name, value in (made | changes).items() if value is not ...}


async def send(client: httpx.AsyncClient, *records: Any) -> dict[str, Any]:
    answer = await client.post("/v1/events", json={"events": list(records)})
    assert answer.status_code == 200, answer.text
    verdicts: dict[str, Any] = answer.json()
    statuses = [each["status"] for each in verdicts["results"]]
    assert len(statuses) == len(records)
    for name, status in (("accepted", "accepted"), ("duplicates", "duplicate"), ("rejected", "rejected")):
        assert verdicts[name] == statuses.count(status)
    return verdicts


def statuses(verdicts: dict[str, Any]) -> list[str]:
    return [each["status"] for each in verdicts["results"]]


def log_of(api: Api) -> Path:
    return api.database_file.parent / "recsys-logs"


def lines(api: Api, kind: str) -> list[dict[str, Any]]:
    found = sorted(log_of(api).glob(f"{kind}/*/*/*.jsonl"))
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


async def exposures(api: Api, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(lines(api, "exposures")) < count:
            await asyncio.sleep(0.02)
    return lines(api, "exposures")


async def test_an_outcome_is_written_before_the_answer_and_joins_its_exposure(
    api: Api, loaded: httpx.AsyncClient
) -> None:
    shown = (await loaded.post("/v1/recommend", json=recommend_body(k=3, user={"user_id": PERSON}))).json()
    request_id, item_id = shown["meta"]["request_id"], shown["items"][0]["item_id"]
    bought = event("p1", type="purchase", item_id=item_id, request_id=request_id, value=9.99, currency="EUR")
    assert statuses(await send(loaded, bought)) == ["accepted"]
    (outcome,) = lines(api, "events")
    (exposure,) = await exposures(api, 1)
    assert outcome["request_id"] == exposure["meta"]["request_id"] == request_id
    assert (
        outcome["subject"] == exposure["subject"] == api.service.subjects.of(outcome["tenant_id"], User(user_id=PERSON))
    )
    assert exposure["items"] == shown["items"]
    assert exposure["meta"] == shown["meta"]
    assert (exposure["schema"], exposure["endpoint"], exposure["k"]) == ("service_v1", "recommend", 3)
    assert (outcome["value"], outcome["currency"], outcome["type"]) == (9.99, "EUR", "purchase")
    written = b"".join(path.read_bytes() for path in log_of(api).rglob("*") if path.is_file())
    assert PERSON.encode() not in written


async def test_exposures_tell_the_assignment(api: Api, loaded: httpx.AsyncClient) -> None:
    await loaded.put("/v1/admin/tenants/demo/config", json={"experiments": [AB]})
    for user in "abcdef":
        await loaded.post("/v1/recommend", json=recommend_body(user={"user_id": user}))
    found = await exposures(api, 6)
    variants = [line["meta"]["experiments"] for line in found]
    assert {each["id"] for (each,) in variants} == {"ab"}
    assert {each["variant"] for (each,) in variants} == {"a", "b"}


async def test_what_is_an_exposure_and_what_is_not(api: Api, loaded: httpx.AsyncClient) -> None:
    await loaded.post("/v1/recommend/validate", json=recommend_body())
    await loaded.post("/v1/recommend", json={"surface": "home"})
    await loaded.post("/v1/similar", json={"surface": "home", "item_id": "i1"})
    await loaded.post("/v1/recommend", json=recommend_body(surface="void"))
    similar, empty = await exposures(api, 2)
    assert (similar["endpoint"], similar["subject"]) == ("similar", None)
    assert (empty["meta"]["surface"], empty["items"]) == ("void", [])


@pytest.mark.parametrize(("format_", "schemas"), [("eval_v1", ["eval_v1"]), ("off", [])])
async def test_the_format_is_a_setting(database_file: Path, format_: str, schemas: list[str]) -> None:
    api = build(database_file, exposure_format=format_)
    async with api.service.running(), api.client(**DEVELOPER) as client:
        await client.post("/v1/admin/tenants", json={"external_id": "demo"})
        await load(client, "/v1/admin/tenants/demo/items?surface=home", ITEMS)
        assert (await client.post("/v1/recommend", json=recommend_body())).status_code == 200
    assert [line["schema"] for line in lines(api, "exposures")] == schemas
    assert log_of(api).exists() == bool(schemas)


async def test_one_bad_record_does_not_refuse_the_others(api: Api, loaded: httpx.AsyncClient) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(hours=25)).isoformat()
    verdicts = await send(
        loaded,
        event("good"),
        event("typo", surfce="home"),
        event(7),  # type: ignore[arg-type]
        event("late", occurred_at=tomorrow),
        event("minus", type="purchase", value=-1),
        event("nul", item_id="a\0b"),
        "not an object",
        event("nobody", user={}),
        event("also good"),
        event("good"),
    )
    assert statuses(verdicts) == ["accepted", *["rejected"] * 7, "accepted", "duplicate"]
    results = verdicts["results"]
    assert [each["event_id"] for each in results] == [
        "good", "typo", None, "late", "minus", "nul", None, "nobody", "also good", "good",
    ]  # fmt: skip
    assert [each["faults"][0]["pointer"] for each in results[1:8]] == [
        "/surfce", "/event_id", "/occurred_at", "/value", "/item_id", "", "/user",
    ]  # fmt: skip
    assert results[1]["faults"][0]["did_you_mean"] == "surface"
    assert sorted(line["event_id"] for line in lines(api, "events")) == ["also good", "good"]
    text = (await loaded.get("/metrics")).text
    for verdict, count in (("accepted", 2), ("duplicate", 1), ("rejected", 7)):
        assert f'recsys_events_total{{verdict="{verdict}"}} {count}.0' in text


async def test_sending_again_changes_nothing(api: Api, loaded: httpx.AsyncClient) -> None:
    batch = [event(f"e{n}") for n in range(1_000)]
    assert (await send(loaded, *batch))["accepted"] == 1_000
    assert (await send(loaded, *batch))["duplicates"] == 1_000
    assert (await send(loaded, event("e5", type="view")))["duplicates"] == 1
    assert len(lines(api, "events")) == 1_000


async def test_the_same_batch_many_times_at_once_is_accepted_once(api: Api, loaded: httpx.AsyncClient) -> None:
    batch = [event(f"e{n}") for n in range(50)]
    answers = await asyncio.gather(*(send(loaded, *batch) for _ in range(10)))
    assert sum(each["accepted"] for each in answers) == 50
    assert len(lines(api, "events")) == 50


async def test_escapes_and_other_scripts_are_understood(api: Api, loaded: httpx.AsyncClient) -> None:
    content = json.dumps({"events": [event("é😀", item_id="größe")]}).encode()
    assert b"\\u" in content
    assert (await loaded.post("/v1/events", content=content)).json()["accepted"] == 1
    assert (await loaded.post("/v1/events", content=content)).json()["duplicates"] == 1
    assert lines(api, "events")[0]["item_id"] == "größe"


ONE = json.dumps(event()).encode()
BAD_RECORDS: dict[str, tuple[bytes, str, str | None]] = {
    "half a character": (b'{"event_id": "\\ud83d"}', "/event_id", None),
    "half a character as a key": (b'{"\\ud83d": 1}', "", None),
    "half a character as a key, twice": (b'{"\\ud83d": 1, "\\ud83d": 2}', "", None),
    "half a character in another field": (b'{"event_id": "a", "item_id": "\\ud83d"}', "/item_id", "a"),
    "half a character and bytes that are none": (b'{"event_id": "\\ud83d \xff"}', "", None),
    "bytes that are no character": (b'{"event_id": "\xff"}', "", None),
    "bytes that are no character in another field": (b'{"event_id": "a", "item_id": "\xff"}', "", "a"),
    "NUL": (b'{"event_id": "\\u0000"}', "/event_id", None),
    "NUL in another field": (b'{"item_id": "\\u0000", "event_id": "a"}', "/item_id", "a"),
    "5,000 digits": (b'{"event_id": "a", "quantity": ' + b"5" * 5_000 + b"}", "/quantity", "a"),
    "not a number": (b'{"event_id": "a", "value": NaN}', "", "a"),
    "70 levels": (b'{"event_id": "a", "value": ' + b"[" * 70 + b"]" * 70 + b"}", "/value" + "/0" * 64, "a"),
    "a key twice": (b'{"event_id": "a", "event_id": "b"}', "/event_id", None),
    "no object": (b'[["event_id", "\\u0000"]]', "/0/1", None),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
async def test_a_record_that_no_parser_likes_does_not_refuse_the_others(
    api: Api, dev: httpx.AsyncClient, name: str
) -> None:
    record, pointer, event_id = BAD_RECORDS[name]
    escaped = json.dumps(event("line\nbreak")).encode()
    body = b' { "events" : [ %s,%s , %s ] } ' % (ONE, record, escaped)
    answer = await dev.post("/v1/events", content=body)
    assert answer.status_code == 200, answer.text
    assert statuses(answer.json()) == ["accepted", "rejected", "accepted"]
    rejected = answer.json()["results"][1]
    assert (rejected["faults"][0]["pointer"], rejected["event_id"]) == (pointer, event_id)
    assert [line["event_id"] for line in lines(api, "events")] == ["e1", "line\nbreak"]


ENVELOPES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "not JSON": (b"events", ""),
    "cut short": (b'{"events": [' + ONE, ""),
    "an array": (b"[" + ONE + b"]", ""),
    "an event": (ONE, "/event_id"),
    "missing": (b"{}", "/events"),
    "null": (b'{"events": null}', "/events"),
    "an empty list": (b'{"events": []}', "/events"),
    "1,001 records": (b'{"events": [' + b",".join([ONE] * 1_001) + b"]}", "/events"),
    "a typo": (b'{"evnts": [' + ONE + b"]}", "/evnts"),
    "another field": (b'{"events": [' + ONE + b'], "tenant": "demo"}', "/tenant"),
    "events twice": (b'{"events": [' + ONE + b'], "events": [' + ONE + b"]}", "/events"),
    "events twice, once escaped": (b'{"events": [' + ONE + b'], "event\\u0073": [' + ONE + b"]}", "/events"),
    "half a character outside of records": (b'{"events": [' + ONE + b'], "\\ud83d": 1}', ""),
    "half a character and 1,001 records": (
        b'{"events": ["\\ud83d",' + b",".join([ONE] * 1_000) + b"]}",
        "/events/0",
    ),
    "100,000 brackets": (b'{"events": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
    "invalid UTF-8 outside of records": (b'{"events": [' + ONE + b'], "\xff": 1}', ""),
}


@pytest.mark.parametrize("name", ENVELOPES)
async def test_a_malformed_envelope_is_refused_as_a_whole(api: Api, dev: httpx.AsyncClient, name: str) -> None:
    body, pointer = ENVELOPES[name]
    problem = assert_problem(await dev.post("/v1/events", content=body), 400, INVALID)
    assert problem["errors"][0]["pointer"] == pointer
    assert lines(api, "events") == []


async def test_a_thousand_records_with_a_hundred_faults_each_are_bounded(dev: httpx.AsyncClient) -> None:
    record = "{" + ",".join(f'"k{n}":0' for n in range(100)) + "}"
    answer = await dev.post("/v1/events", content=('{"events":[' + ",".join([record] * 1_000) + "]}").encode())
    verdicts = answer.json()
    assert verdicts["rejected"] == 1_000
    assert all(each["faults"] for each in verdicts["results"])
    assert sum(len(each["faults"]) for each in verdicts["results"]) < 1_200


async def test_a_log_that_cannot_be_written_refuses_events_and_serving_goes_on(
    database_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "occupied").touch()
    api = build(database_file, log_dir=str(tmp_path / "occupied"))
    async with api.service.running(), api.client(**DEVELOPER) as client:
        await client.post("/v1/admin/tenants", json={"external_id": "demo"})
        await load(client, "/v1/admin/tenants/demo/items?surface=home", ITEMS)
        answer = await client.post("/v1/events", json={"events": [event()]})
        problem = assert_problem(answer, 503, "RECSYS_NOT_READY")
        assert answer.headers["retry-after"]
        assert "occupied" not in problem["detail"]
        assert (await send(client, event(user={})))["rejected"] == 1, "there was nothing to write"
        assert (await client.post("/v1/recommend", json=recommend_body())).status_code == 200
        async with asyncio.timeout(20):
            while (
                'recsys_exposures_dropped_total{reason="write_failed"} 1.0' not in (await client.get("/metrics")).text
            ):
                await asyncio.sleep(0.02)
        (tmp_path / "occupied").unlink()
        assert (await send(client, event()))["accepted"] == 1


async def test_what_waits_when_the_service_ends_is_written(api: Api, database_file: Path) -> None:
    ending = build(database_file)
    async with ending.service.running(), ending.client(**DEVELOPER) as client:
        await client.post("/v1/admin/tenants", json={"external_id": "demo"})
        await load(client, "/v1/admin/tenants/demo/items?surface=home", ITEMS)
        for _ in range(50):
            await client.post("/v1/recommend", json=recommend_body())
    assert len(lines(ending, "exposures")) == 50


async def test_the_query_of_the_documents_finds_what_was_bought(
    api: Api, loaded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await loaded.put("/v1/admin/tenants/demo/config", json={"experiments": [AB]})
    shown = (await loaded.post("/v1/recommend", json=recommend_body(k=3))).json()
    about = {"request_id": shown["meta"]["request_id"], "item_id": shown["items"][1]["item_id"]}
    await send(loaded, event("p", type="purchase", value=9.5, **about), event("c", **about))
    (exposure,) = await exposures(api, 1)
    (path,) = log_of(api).glob("events/*/*/*.jsonl")
    # Once more by a process that died before it could remember the event, in the middle of the next.
    path.with_name("other-0000.jsonl").write_bytes(path.read_bytes() + b'{"schema":"event_v1","ten')
    monkeypatch.chdir(api.database_file.parent)
    query = PAGE.read_text(encoding="utf-8").partition("```sql\n")[2].partition("```")[0]
    assert duckdb.execute(query).fetchall() == [(exposure["meta"]["experiments"], 3, 1, 9.5)]


def test_a_look_from_the_command_line_is_no_exposure_and_events_go_to_a_service(
    database_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RECSYS_URL", "RECSYS_LOG_DIR", "RECSYS_SUBJECT_SALT"):
        monkeypatch.delenv(name, raising=False)
    where = ("--db", f"sqlite:///{database_file}")
    assert run("tenant", "create", "shop", *where).exit_code == 0
    assert run("recommend", "-t", "shop", *where).exit_code == 0
    done = run("events", "send", "-t", "shop", "-", *where, text=json.dumps(event()))
    assert (done.exit_code, "running service" in done.stderr) == (2, True)
    assert not (database_file.parent / "recsys-logs").exists()
    monkeypatch.setenv("RECSYS_SUBJECT_SALT", "short")
    refused = run("recommend", "-t", "shop", *where)
    assert (refused.exit_code, "RECSYS_SUBJECT_SALT" in refused.stderr) == (2, True), refused.output
