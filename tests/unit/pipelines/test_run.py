"""A run from files to a publisher: what blocks it, what it goes on with, and what it leaves behind."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recsys.domain.subject import SubjectKeys
from recsys.pipelines.compute import artifact_of
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.place import Place
from recsys.pipelines.publish import Published, Release
from recsys.pipelines.report import Report
from recsys.pipelines.run import GateFailed, NothingToPublish, Pipeline, Wish
from recsys.pipelines.settings import Gates, PipelineSettings
from recsys.pipelines.sources import JoinedSources
from recsys.pipelines.window import Window
from recsys.storage.source_folder import SourceFolder

TENANT_ID = "7c1d3c39-6e3c-4a0e-9d76-5d7f4c1c9a55"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 4))


def events(count: int, item: str = "i", **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{item}{number}", "type": "view", "at": f"2026-01-0{1 + number % 4}T00:{number // 4:02}:00Z",
            "user_id": f"u{number % 9}", "item_id": f"{item}{number % 5}", "segment": "new" if number % 2 else "old",
        } | more
        for number in range(count)
    ]  # fmt: skip


class Shop:
    """A tenant's files and work directory, and a publisher that remembers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.releases: list[Release] = []
        (directory / "in").mkdir()

    def put(self, records: Sequence[Any], name: str = "a.jsonl") -> None:
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        (self.directory / "in" / name).write_text("".join(line + "\n" for line in lines))

    def pipeline(self, gates: Gates | None = None, **wished: Any) -> Pipeline:
        wish = Wish("shop", TENANT_ID, "home", WINDOW, threads=1, **wished)
        settings = PipelineSettings(gates=gates or Gates())
        return Pipeline(wish, self.directory / "work", settings, SubjectKeys(b"0123456789abcdef"), NOW)

    def read(self, pipeline: Pipeline) -> Pipeline:
        pipeline.ingest(JoinedSources([("in", SourceFolder(self.directory / "in"))]))
        pipeline.canonicalise()
        pipeline.validate()
        return pipeline

    async def publisher(self, release: Release) -> Published:
        self.releases.append(release)
        return Published(manifest_version="0" * 64, revision=len(self.releases), changed=True, uris={})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_a_run_publishes_all_kinds_that_events_give_and_reports(shop: Shop) -> None:
    shop.put([*events(80), "{bad"])
    pipeline = shop.read(shop.pipeline(Gates(max_set_aside_share=0.1)))
    made = pipeline.compute()
    published = await pipeline.publish(made, shop.publisher)
    as_json, as_page = pipeline.report(made, published, NOW, dry_run=False)

    assert [each.kind for each in shop.releases[0].made] == [
        "popularity", "cooc", "implicit", "session_seq", "session_knn", "history",
    ]  # fmt: skip
    report = msgspec.json.decode(as_json.read_bytes(), type=Report)
    assert report.validation.volume == {f"2026-01-0{day}": 20 for day in (1, 2, 3, 4)}
    assert report.validation.set_aside == {"malformed": 1}
    assert report.coverage["popularity"] == 1
    page = as_page.read_text()
    assert page.count("<svg") == 3
    assert "http" not in page
    assert "2026-01-01: 20" in page
    assert (shop.directory / "work" / TENANT_ID / "home" / "set_aside.jsonl").read_text().count("\n") == 1


async def test_a_failing_gate_blocks_publishing_and_names_rows(shop: Shop) -> None:
    shop.put([*events(80), "{bad"])
    pipeline = shop.read(shop.pipeline())
    with pytest.raises(GateFailed) as refused:
        await pipeline.publish(pipeline.compute(), shop.publisher)
    assert "in/a.jsonl:81: malformed" in "\n".join(refused.value.hints)
    assert not shop.releases


async def test_drift_is_measured_against_what_was_published_not_against_what_was_tried(shop: Shop) -> None:
    shop.put(events(80))
    pipeline = shop.read(shop.pipeline())
    await pipeline.publish(pipeline.compute(), shop.publisher)
    shop.put(events(80, "other"))
    for _ in range(2):
        pipeline = shop.read(shop.pipeline())
        with pytest.raises(GateFailed, match="1 of 6") as refused:
            await pipeline.publish(pipeline.compute(), shop.publisher)
        assert "drift" in refused.value.hints[0]


async def test_events_that_were_not_validated_are_not_published(shop: Shop) -> None:
    shop.put(events(80))
    pipeline = shop.read(shop.pipeline())
    shop.put(events(90))
    pipeline.ingest(JoinedSources([("in", SourceFolder(shop.directory / "in"))]))
    pipeline.canonicalise()
    with pytest.raises(NothingToPublish, match="not validated"):
        await pipeline.publish(pipeline.compute(), shop.publisher)


async def test_a_longer_window_with_the_same_events_was_not_validated_either(shop: Shop) -> None:
    shop.put(events(80))
    shop.read(shop.pipeline())
    pipeline = shop.pipeline()
    longer = replace(pipeline, wish=replace(pipeline.wish, window=Window(date(2025, 12, 1), WINDOW.end)))
    made = longer.compute()
    with pytest.raises(NothingToPublish, match="not validated"):
        await longer.publish(made, shop.publisher)
    assert not longer.validate().passed
    with pytest.raises(GateFailed, match="gates failed"):
        await longer.publish(made, shop.publisher)


async def test_signals_without_rows_are_not_published(shop: Shop) -> None:
    shop.put(events(8))  # of eight users, one each: nothing comes after anything
    pipeline = shop.read(shop.pipeline(kinds=("session_seq",)))
    with pytest.raises(NothingToPublish, match="no signal"):
        await pipeline.publish(pipeline.compute(), shop.publisher)


def test_what_is_computed_stays_until_its_input_or_settings_change(shop: Shop) -> None:
    shop.put(events(80))
    pipeline = shop.read(shop.pipeline(kinds=("popularity",)))
    (first,) = pipeline.compute()
    path = artifact_of(pipeline.place, None, "popularity")
    written = path.stat().st_mtime_ns
    assert pipeline.compute() == [first]
    assert path.stat().st_mtime_ns == written

    path.write_bytes(b"damaged")
    (again,) = pipeline.compute()
    assert again.sha256 == first.sha256
    assert path.read_bytes() != b"damaged"

    shop.put(events(84))
    (later,) = shop.read(pipeline).compute()
    assert later.sha256 != first.sha256


def test_a_run_that_was_killed_goes_on_and_one_that_ended_begins_anew(shop: Shop) -> None:
    shop.put(events(8), "gone.jsonl")
    shop.put(events(8, "b"), "b.jsonl")
    shop.read(shop.pipeline())
    staged = shop.directory / "work" / TENANT_ID / "home" / "staged"
    times = {path.name: path.stat().st_mtime_ns for path in staged.iterdir()}
    shop.read(shop.pipeline())  # the first one never said that it had ended
    assert {path.name: path.stat().st_mtime_ns for path in staged.iterdir()} == times

    shop.pipeline().end()
    (shop.directory / "in" / "gone.jsonl").unlink()
    shop.read(shop.pipeline())
    assert len(list(staged.iterdir())) == 1


def test_two_runs_of_a_surface_keep_out_of_each_other_s_way_and_those_of_others_do_not_mind(shop: Shop) -> None:
    with shop.pipeline().alone():
        who = f"process {os.getpid()}, since 2026-02-01 00:00:00 UTC"
        with pytest.raises(PipelineError, match=who) as refused, shop.pipeline().alone():
            pass
        assert "--work" in refused.value.hints[0]
        other = shop.pipeline()
        with replace(other, wish=replace(other.wish, surface="pdp")).alone():
            pass
    with shop.pipeline().alone():
        pass


def test_what_a_killed_run_had_not_finished_is_gone_when_the_next_one_begins(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.directory)
    place = Place.of(Path("work"), TENANT_ID, "home")
    left = [("_scratch", "duckdb-1", "spill"), ("staged", ".k.part", "rows.parquet"), ("_all", ".report.json.7.part")]
    kept = [("staged", "k", "rows.parquet"), ("_all", "report.json")]
    for parts in (*left, *kept):
        place.at(*parts).touch()
    with place.alone("this test"):
        assert not any(place.root.joinpath(*parts[:2]).exists() for parts in left)
        assert all(place.root.joinpath(*parts).exists() for parts in kept)


def test_a_run_that_goes_on_with_the_same_files_under_other_names_reads_nothing_twice(shop: Shop) -> None:
    shop.put(events(40))
    shop.read(shop.pipeline())  # it never said that it had ended
    pipeline = shop.pipeline()
    pipeline.ingest(JoinedSources([("elsewhere/in", SourceFolder(shop.directory / "in"))]))
    assert pipeline.canonicalise().duplicates == 0
    assert pipeline.validate().read == 40


def test_an_incremental_run_keeps_what_sources_no_longer_have_and_equals_a_full_one(shop: Shop) -> None:
    shop.put(events(40), "old.jsonl")
    shop.read(shop.pipeline()).end()
    (shop.directory / "in" / "old.jsonl").unlink()
    shop.put(events(40, "b"), "new.jsonl")
    pipeline = shop.read(shop.pipeline(incremental=True))
    pipeline.end()
    incremental = pipeline.fingerprints()
    shop.put(events(40), "old.jsonl")
    assert shop.read(shop.pipeline()).fingerprints() == incremental


def test_a_segment_has_signals_and_reports_of_its_own(shop: Shop) -> None:
    shop.put(events(80))
    whole = shop.read(shop.pipeline(kinds=("popularity",))).compute()
    pipeline = shop.pipeline(kinds=("popularity",), segment="new")
    validation = pipeline.validate()
    part = pipeline.compute()
    assert sum(validation.volume.values()) == 40
    assert whole[0].sha256 != part[0].sha256
    assert artifact_of(pipeline.place, None, "popularity").exists()


def test_a_kind_without_its_input_names_the_option(shop: Shop) -> None:
    shop.put(events(8))
    pipeline = shop.read(shop.pipeline(kinds=("embedding",)))
    with pytest.raises(PipelineError, match="--vectors"):
        pipeline.compute()


def test_catalog_and_content_come_from_the_items_that_are_given(shop: Shop) -> None:
    shop.put(events(8))
    items = shop.directory / "items.ndjson"
    items.write_text('{"item_id": "a", "tags": ["t"]}\n{"item_id": "b", "tags": ["t"]}\n{"item_id": "c"}\n')
    pipeline = shop.read(shop.pipeline(kinds=("catalog", "content_sim"), catalog=items))
    assert {made.kind: made.rows for made in pipeline.compute()} == {"content_sim": 2, "catalog": 3}

    as_csv = shop.directory / "items.csv"
    as_csv.write_text("item_id,tags\na,t\nb,t\nc,\n")
    from_csv = shop.pipeline(kinds=("catalog",), catalog=as_csv).compute()
    assert from_csv[0].sha256 == pipeline.compute()[1].sha256
    as_csv.write_text("item_id;tags\na;t\n")
    with pytest.raises(PipelineError, match="semicolons"):
        shop.pipeline(kinds=("catalog",), catalog=as_csv).compute()

    items.write_text('{"item_id": ""}\n')
    with pytest.raises(PipelineError, match=r"items\.ndjson:1"):
        pipeline.compute()
