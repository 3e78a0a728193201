"""What is served to a held-out customer is what the evaluation judged: item by item, over HTTP, from published artifacts."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from recsys.demo.retail import SHIPPED_PARQUET, write_events
from recsys.domain.access import Actor
from recsys.domain.config import read_config, resolve
from recsys.domain.recommend import User
from recsys.evaluation.holdout import Case, session_cases, split, user_cases
from recsys.evaluation.served import answer_cases, compose_plain
from recsys.pipelines.publish import Release, publish_release
from recsys.pipelines.run import Pipeline, Wish
from recsys.pipelines.settings import PipelineSettings
from recsys.pipelines.variants import VariantSignals, read_events, variants
from recsys.pipelines.window import Window
from recsys.serving.snapshot import SignalPart
from recsys.storage.source_folder import SourceFolder
from tests.http.conftest import DEVELOPER, Api, build

pytestmark = pytest.mark.xdist_group("retail")

CUT, START, END = date(2011, 11, 12), date(2011, 8, 1), date(2011, 12, 9)
"""Three months are enough here."""
K = 20
TENANT = "/v1/admin/tenants/retail"
CONFIG: dict[str, Any] = {
    "weights": {"pop": 1.0, "cooc": 1.0, "emb": 0.3},
    "surfaces": {"home": {"exclude": {"event_types": ["purchase"]}, "anchors": {"half_life": 10}}},
}


def pipeline_of(tmp_path: Path, api: Api, tenant_id: str) -> Pipeline:
    """The pipeline of the held-in days, with all days canonicalised."""
    source, catalog = tmp_path / "in", tmp_path / "items.ndjson"
    source.mkdir()
    write_events(SHIPPED_PARQUET, source / "events.jsonl", catalog=catalog)
    now, work = datetime(2026, 1, 1, tzinfo=UTC), tmp_path / "work"

    def pipeline(end: date) -> Pipeline:
        wish = Wish(tenant="retail", tenant_id=tenant_id, surface="home", window=Window(START, end), catalog=catalog)
        return Pipeline(wish, work, PipelineSettings(), api.service.subjects, now)

    whole = pipeline(END)
    whole.ingest(SourceFolder(source))
    whole.canonicalise()
    return pipeline(date(2011, 11, 11))


def offline(pipeline: Pipeline, cases: list[Case]) -> list[list[str]]:
    """The lists as the evaluation makes them."""
    settings = resolve(read_config(CONFIG), "home")
    named = variants(pipeline.settings)
    with pipeline.inputs() as inputs:
        signals = VariantSignals(pipeline.place, inputs, "home", named)[next(iter(named))]
    return answer_cases(compose_plain(SignalPart(signals), settings), cases, K)


async def publish(api: Api, pipeline: Pipeline, tenant_id: str) -> None:
    wish = pipeline.wish
    made = await asyncio.to_thread(pipeline.compute)
    release = Release(pipeline.place, wish.surface, wish.segment, wish.window, made, pipeline.now)
    await publish_release(api.service.store, api.service.blobs, Actor(sub="test", actor_type="cli"), tenant_id, release)
    await api.service.replica.catch_up()


def held_out(pipeline: Pipeline) -> tuple[list[Case], list[Case]]:
    events = read_events(pipeline.place, Window(START, END), None)
    before, after = split(events, datetime.combine(CUT, time(tzinfo=UTC)))
    return user_cases(before, after), session_cases(before, after, most=200)


async def test_the_lists_served_to_held_out_customers_are_those_computed_offline(
    database_file: Path, tmp_path: Path
) -> None:
    api = build(database_file, subject_salt="0123456789abcdef", artifacts=str(tmp_path / "artifacts"))
    async with api.service.running(), api.client(**DEVELOPER | {"X-Org-Id": "retail"}) as dev:
        created = await dev.post("/v1/admin/tenants", json={"external_id": "retail", "name": "Retail"})
        tenant_id = created.json()["id"]
        assert (await dev.put(f"{TENANT}/config", json=CONFIG)).status_code == 200
        pipeline = await asyncio.to_thread(pipeline_of, tmp_path, api, tenant_id)
        users, sessions = await asyncio.to_thread(held_out, pipeline)
        customers = customers_by_key(api, tenant_id, tmp_path / "in" / "events.jsonl")
        users = [case for case in users if case.subject in customers]
        assert len(users) > 700
        cases = [*users, *sessions]
        expected = await asyncio.to_thread(offline, pipeline, cases)

        await publish(api, pipeline, tenant_id)
        for case, items in zip(cases, expected, strict=True):
            user = {"user_id": customers[case.subject]} if case.subject else {"anonymous_id": "somebody"}
            body = {"surface": "home", "k": K, "user": user, "anchors": {"item_ids": list(case.anchors)}}
            answer = (await dev.post("/v1/recommend", json=body)).json()
            assert answer["meta"]["manifest_version"] is not None
            assert [each["item_id"] for each in answer["items"]] == items, case
        assert len({tuple(items) for items in expected}) > len(cases) * 0.9  # each has a list of his own


def customers_by_key(api: Api, tenant_id: str, events: Path) -> dict[str | None, str]:
    """Who a key stands for."""
    names = {json.loads(line)["user_id"] for line in events.read_text().splitlines()} - {None}
    return {api.service.subjects.of(tenant_id, User(user_id=name)): name for name in names}
