"""Bulk loads: formats, modes, faults with their lines, limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys.control.row_file import RowFile
from recsys.domain.catalogue import SurfaceRows
from recsys.service.state import LOADS_AT_A_TIME
from recsys.storage.serving_store import SqlServingStore
from tests.http.conftest import DEVELOPER, assert_problem, build, load, recommend_body

TENANT = "/v1/admin/tenants/demo"
ITEMS, POPULARITY, COOC = (f"{TENANT}/{path}?surface=home" for path in ("items", "signals/popularity", "signals/cooc"))


async def test_what_a_load_answers(dev: httpx.AsyncClient) -> None:
    answer = (await load(dev, ITEMS, '{"item_id": "a"}\n\n{"item_id": "b"}\n')).json()
    assert answer == {"dataset": "items", "surface": "home", "mode": "upsert", "rows": 2, "data_revision": 1}
    answer = (await load(dev, POPULARITY + "&mode=replace", '{"item_id": "a", "day": "2025-01-01", "score": 1}')).json()
    assert (answer["dataset"], answer["mode"], answer["data_revision"]) == ("popularity", "replace", 2)


async def test_a_load_is_served_before_it_is_answered(dev: httpx.AsyncClient) -> None:
    await load(dev, ITEMS, '{"item_id": "a"}\n{"item_id": "b"}')
    loaded = await load(
        dev, POPULARITY, "item_id,day,score\na,2025-01-01,1\nb,2025-01-01,2\n", "text/csv; charset=utf-8"
    )
    answer = (await dev.post("/v1/recommend", json=recommend_body())).json()
    assert [item["item_id"] for item in answer["items"]] == ["b", "a"]
    assert answer["meta"]["data_revision"] == loaded.json()["data_revision"]


async def test_a_load_is_answered_while_the_signals_of_another_tenant_are_read(
    dev: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = (await dev.post("/v1/admin/tenants", json={"external_id": "other"})).json()["id"]
    reading, go_on, read = asyncio.Event(), asyncio.Event(), SqlServingStore.surface_rows

    async def slow(store: SqlServingStore, tenant_id: str, surface: str, *, items_only: bool = False) -> SurfaceRows:
        if tenant_id == other:
            reading.set()
            await go_on.wait()
        return await read(store, tenant_id, surface, items_only=items_only)

    monkeypatch.setattr(SqlServingStore, "surface_rows", slow)
    of_the_other = asyncio.create_task(load(dev, ITEMS.replace("demo", "other"), '{"item_id": "a"}'))
    await reading.wait()
    try:
        async with asyncio.timeout(5):
            assert (await load(dev, ITEMS, '{"item_id": "a"}')).status_code == 200
        assert not of_the_other.done()
    finally:
        go_on.set()
        await of_the_other


async def test_loads_take_turns_and_leave_threads_for_everybody_else(
    dev: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, most, check = 0, 0, RowFile.check

    def counted(file: RowFile) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.05)
        at_work -= 1
        return check(file)

    monkeypatch.setattr(RowFile, "check", counted)
    answers = await asyncio.gather(*(load(dev, ITEMS, f'{{"item_id": "{n}"}}') for n in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert most == LOADS_AT_A_TIME


async def test_csv_with_lists_objects_and_empty_cells(dev: httpx.AsyncClient) -> None:
    rows = 'item_id,tags,price,attributes\na,x|y,1.5,"{""colour"": ""red""}"\nb,,,\n'
    answer = await load(dev, ITEMS, rows, "text/csv")
    assert answer.json()["rows"] == 2, answer.text


async def test_a_byte_order_mark_is_passed_over(dev: httpx.AsyncClient) -> None:
    for content_type, rows in (("text/csv", "item_id\na\n"), ("application/x-ndjson", '{"item_id": "a"}\n')):
        answer = await load(dev, ITEMS, "\ufeff" + rows, content_type)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
async def test_csv_with_other_separators_names_them(dev: httpx.AsyncClient, separator: str, name: str) -> None:
    rows = f"\ufeffitem_id{separator}price\na{separator}1\n"
    problem = assert_problem(await load(dev, ITEMS, rows, "text/csv"), 400, "RECSYS_INVALID_REQUEST")
    assert problem["detail"] == f"line 1: The columns are separated by {name}; save the file with commas between them."
    assert len(problem["errors"]) == 1


async def test_every_fault_comes_with_its_line_and_nothing_is_written(dev: httpx.AsyncClient) -> None:
    rows = '{"item_id": "a"}\nnot json\n{"item": "c"}\n{"item_id": "a"}\n{"item_id": "d", "price": -1}\n'
    problem = assert_problem(await load(dev, ITEMS, rows), 400, "RECSYS_INVALID_REQUEST")
    assert {fault["line"] for fault in problem["errors"]} == {2, 3, 4, 5}
    assert problem["detail"].startswith("line 2")
    assert next(fault for fault in problem["errors"] if fault["pointer"] == "/item")["did_you_mean"] == "item_id"
    assert (await dev.get(TENANT)).json()["data_revision"] == 0


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
async def test_another_content_type_is_not_supported(dev: httpx.AsyncClient, content_type: str) -> None:
    answer = await load(dev, ITEMS, "{}", content_type)
    assert_problem(answer, 415, "RECSYS_UNSUPPORTED_MEDIA_TYPE")


async def test_the_query_of_a_load(dev: httpx.AsyncClient) -> None:
    for path, word in ((f"{TENANT}/items", "surface"), (ITEMS + "&mode=append", "mode")):
        problem = assert_problem(await load(dev, path, '{"item_id": "a"}'), 400, "RECSYS_INVALID_REQUEST")
        assert word in problem["detail"]
    answer = await load(dev, f"{TENANT}/signals/embedding?surface=home", "")
    assert_problem(answer, 404, "RECSYS_NOT_FOUND")


async def test_a_load_may_be_larger_than_a_document_but_not_endless(database_file: Path) -> None:
    api = build(database_file, max_load_bytes=2_000_000, spool_bytes=10_000)
    rows = "\n".join(f'{{"item_id": "i{n}", "title": "{"x" * 100}"}}' for n in range(10_000))
    async with api.service.running(), api.client(**DEVELOPER) as dev:
        await dev.post("/v1/admin/tenants", json={"external_id": "demo"})
        assert (await load(dev, ITEMS, rows)).json()["rows"] == 10_000

        async def endless() -> Any:
            for _ in range(100):
                yield b" " * 65_536

        answer = await dev.put(ITEMS, content=endless(), headers={"Content-Type": "application/x-ndjson"})
        assert_problem(answer, 413, "RECSYS_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(("content_type", "rows"), [("application/x-ndjson", "\n"), ("text/csv", "item_id,price\n")])
async def test_a_replace_without_rows_takes_a_word_of_its_own(
    dev: httpx.AsyncClient, content_type: str, rows: str
) -> None:
    await load(dev, ITEMS, '{"item_id": "a"}')
    assert (await load(dev, ITEMS, rows, content_type)).json()["rows"] == 0  # an upsert of nothing changes nothing
    before = (await dev.get(TENANT)).json()["data_revision"]
    answer = await load(dev, ITEMS + "&mode=replace", rows, content_type)
    problem = assert_problem(answer, 422, "RECSYS_UNPROCESSABLE_ENTITY")
    assert "allow_empty=true" in problem["detail"]
    assert (await dev.get(TENANT)).json()["data_revision"] == before
    body = recommend_body(candidates={"include_ids": ["a"]})
    assert (await dev.post("/v1/recommend", json=body)).json()["items"]

    answer = await load(dev, ITEMS + "&mode=replace&allow_empty=true", rows, content_type)
    assert (answer.status_code, answer.json()["rows"]) == (200, 0)
    assert not (await dev.post("/v1/recommend", json=body)).json()["items"]


async def test_a_frozen_tenant_takes_no_loads_and_reads_no_body(dev: httpx.AsyncClient) -> None:
    await load(dev, ITEMS, '{"item_id": "a"}')
    before = (await dev.patch(TENANT, json={"frozen": True})).json()
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        sent += 1
        yield b""

    for path in (ITEMS + "&mode=replace&allow_empty=true", POPULARITY, COOC):
        answer = await dev.put(path, content=body(), headers={"Content-Type": "application/x-ndjson"})
        assert_problem(answer, 423, "RECSYS_FROZEN")
    assert sent == 0
    assert (await dev.get(TENANT)).json() == before
    await dev.patch(TENANT, json={"frozen": False})
    assert (await load(dev, ITEMS, '{"item_id": "b"}')).status_code == 200


async def test_a_load_is_refused_that_was_under_way_when_its_tenant_was_frozen(dev: httpx.AsyncClient) -> None:
    await load(dev, ITEMS, '{"item_id": "a"}')

    async def body() -> AsyncIterator[bytes]:
        yield b'{"item_id": "b"}\n'
        assert (await dev.patch(TENANT, json={"frozen": True})).status_code == 200

    answer = await dev.put(ITEMS + "&mode=replace", content=body(), headers={"Content-Type": "application/x-ndjson"})
    assert_problem(answer, 423, "RECSYS_FROZEN")
    assert (await dev.get(TENANT)).json()["data_revision"] == 1
    answer = await dev.post("/v1/recommend", json=recommend_body(candidates={"include_ids": ["a", "b"]}))
    assert [item["item_id"] for item in answer.json()["items"]] == ["a"]


async def test_replace_takes_the_place_of_all_rows(dev: httpx.AsyncClient) -> None:
    await load(dev, COOC, '{"item_id": "a", "neighbor_id": "b", "day": "2025-01-01", "score": 1}')
    await load(dev, COOC + "&mode=replace", '{"item_id": "a", "neighbor_id": "c", "day": "2025-01-01", "score": 1}')
    await load(dev, ITEMS, '{"item_id": "a"}\n{"item_id": "b"}\n{"item_id": "c"}')
    body = recommend_body(anchors={"item_ids": ["a"]}, algorithm="cooc")
    items = (await dev.post("/v1/recommend", json=body)).json()["items"]
    assert [item["item_id"] for item in items if item["score"] > 0] == ["c"]
