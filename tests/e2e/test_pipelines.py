"""``recsys pipelines`` on a real database and artifact directory: from files to a manifest, and its exit codes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from recsys.artifacts.codec import decode
from recsys.cli.commands import build_app
from recsys.cli.pipeline_session import PipelineSession
from recsys.domain.subject import subject_key
from recsys.pipelines.place import Place
from tests.support.databases import SqliteTemplate
from tests.support.effort import effort
from tests.support.object_store import fresh_prefix, object_store, tamper

SALT = "0123456789abcdef"
WINDOW = ("--start", "2026-01-01", "--end", "2026-01-04")


class Shop:
    """A tenant ``shop`` in a fresh database, with files to read from."""

    def __init__(self, db: str, directory: Path) -> None:
        self.db = db
        self.directory = directory
        (directory / "in").mkdir()
        self.tenant: dict[str, Any] = json.loads(self.call("tenant", "create", "shop", "--json").stdout)

    def call(self, *arguments: str) -> Result:
        return CliRunner().invoke(build_app(), arguments, env=self.environment())

    def environment(self) -> dict[str, str]:
        environment = {"RECSYS_DB": self.db, "RECSYS_TENANT": "shop", "RECSYS_SUBJECT_SALT": SALT}
        environment["RECSYS_ARTIFACTS"] = str(self.directory / "artifacts")
        environment["RECSYS_LOG_DIR"] = str(self.directory / "log")
        return environment

    def run_until(self, file: str) -> Path:
        """A run in a process of its own, killed as soon as it has written that file."""
        work = self.directory / "work"
        given = ("-s", "home", *WINDOW, "--work", str(work), "--threads", "1", "--source", str(self.directory / "in"))
        process = subprocess.Popen(
            [sys.executable, "-m", "recsys", "pipelines", "run", *given],
            env=os.environ | self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not (found := list(work.rglob(file))):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        return found[0]

    def pipelines(self, stage: str, *arguments: str) -> Result:
        given = ("-s", "home", *WINDOW, "--work", str(self.directory / "work"), "--threads", "1")
        return self.call("pipelines", stage, *given, *arguments)

    def run(self, *arguments: str, stage: str = "run") -> Result:
        return self.pipelines(stage, "--source", str(self.directory / "in"), *arguments)

    def put(self, *more: str, name: str = "in/a.jsonl", **fields: Any) -> None:
        records = [
            {"event_id": f"e{number}", "type": "view", "at": f"2026-01-0{1 + number % 4}T00:{number // 4:02}:00Z",
             "user_id": f"u{number % 9}", "item_id": f"i{number % 5}"} | fields for number in range(60)
        ]  # fmt: skip
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in (*map(json.dumps, records), *more)))

    def manifest(self) -> Any:
        answer = self.call("manifest", "get", "-s", "home", "--json")
        return json.loads(answer.stdout)["manifest"]["current"] if answer.exit_code == 0 else None

    def artifact(self, kind: Any) -> Any:
        sha256 = self.manifest()[kind].removeprefix("sha256:")
        (file,) = (self.directory / "artifacts").rglob(f"{sha256}.arrow")
        return decode(kind, file.read_bytes())


@pytest.fixture
def shop(sqlite_template: SqliteTemplate, tmp_path: Path) -> Shop:
    return Shop(sqlite_template.fresh(), tmp_path)


def test_a_run_publishes_and_the_same_again_changes_nothing(shop: Shop) -> None:
    shop.put()
    (shop.directory / "in" / "notes.txt").write_text("no event")
    first = shop.run("--reason", "nightly")
    assert "Left out, since their names do not end like events: 1 (" in first.stderr
    assert (first.exit_code, first.stdout.split(":")[0]) == (0, "Published")
    assert first.stdout.splitlines()[-1] == "No replica is running: whoever starts will serve it."
    before = shop.manifest()
    assert set(before) == {"popularity", "cooc", "implicit", "session_seq", "session_knn", "history"}
    again = shop.run()
    assert (again.exit_code, shop.manifest()) == (0, before)
    assert "current already" in again.stdout
    assert "nightly" in shop.call("history", "--json").stdout


@pytest.mark.parametrize(
    "file",
    ["signals/popularity.json", "running.json", "events/days.json", "signals/cooc.arrow", "signals/implicit.json"][
        : effort(1, 5)
    ],
)
def test_a_run_that_is_killed_leaves_what_is_served_and_goes_on_from_its_last_checkpoint(shop: Shop, file: str) -> None:
    shop.put()
    checkpoint = shop.run_until(file)
    assert shop.manifest() is None
    # A kind is finished, and not made again, when its record stands beside its file.
    finished = checkpoint.parent.name == "signals" and checkpoint.suffix == ".json"
    before = checkpoint.stat().st_ino if finished else None
    assert shop.run().exit_code == 0
    resumed = shop.manifest()
    assert before is None or checkpoint.stat().st_ino == before
    (shop.directory / "work").rename(shop.directory / "put away")
    assert "current already" in shop.run().stdout
    assert shop.manifest() == resumed


def test_a_second_run_of_a_surface_is_told_who_is_at_work_and_leaves_that_one_alone(shop: Shop) -> None:
    shop.put()
    place = Place.of(shop.directory / "work", shop.tenant["id"], "home")
    with place.alone("process 4711"):
        unfinished = place.at("staged", ".a.part", "rows.parquet")
        unfinished.touch()
        for stage in ("run", "ingest", "publish"):
            refused = shop.run(stage=stage)
            assert refused.exit_code == 1
            assert "Another run is at work" in refused.stderr
            assert "process 4711" in refused.stderr
        assert unfinished.exists()
    assert shop.run().exit_code == 0


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_who_ends_the_wait_for_the_replicas_knows_that_it_is_published(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PipelineSession, "converge", interrupted)
    shop.put()
    ended = shop.run("--kinds", "popularity", *more)
    assert ended.exit_code == 130
    assert "Published: manifest" in (ended.stderr if more else ended.stdout)


def test_a_run_says_what_it_read_and_made(shop: Shop) -> None:
    shop.put('{"event_id": "e1", "type": "view", "at": "2026-01-02T00:00:00Z", "user_id": "u1", "item_id": "i1"}')
    said = shop.run().stderr
    assert "Files: 1. Events: 61; of other surfaces: 0; set aside: 0." in said
    assert "Days with events: 4 of 4. Events: 60; duplicates, set aside: 1." in said
    assert "set_aside.jsonl" in said
    assert "popularity (5 rows)" in said
    assert shop.run(stage="ingest").stdout == "Files: 1. Events: 61; of other surfaces: 0; set aside: 0.\n"
    assert "passed  volume: " in shop.run(stage="validate").stdout


def test_signals_under_quarantine_are_refused_with_the_command_that_lifts_it(shop: Shop) -> None:
    shop.put()
    shop.run("--kinds", "popularity")
    shop.run()
    bad = json.loads(shop.call("manifest", "get", "-s", "home", "--json").stdout)["manifest_version"]
    back = shop.call("manifest", "rollback", "-s", "home", "--steps", "1", "--quarantine", "--reason", "bots")
    assert back.exit_code == 0
    refused = shop.run()
    assert refused.exit_code == 1
    assert "bots" in refused.stderr
    assert f"recsys manifest lift -t shop --surface home {bad[:12]}" in refused.stderr
    assert "migrate" not in refused.stderr
    page = next((shop.directory / "work").rglob("report.html")).read_text()
    assert "Nothing was published: The manifest/home version" in page
    assert "bots" in page


def test_after_a_rollback_the_next_run_is_compared_with_what_is_served(shop: Shop) -> None:
    shop.put()
    assert shop.run("--kinds", "popularity").exit_code == 0
    shop.put(item_id="robot")
    drifted = shop.run("--kinds", "popularity")
    assert (drifted.exit_code, "drift: " in drifted.stderr) == (2, True)
    lenient = shop.directory / "lenient.json"
    lenient.write_text('{"gates": {"max_drift": 1}}')
    assert shop.run("--kinds", "popularity", "--settings", str(lenient)).exit_code == 0
    assert shop.call("manifest", "rollback", "-s", "home", "--steps", "1", "--reason", "bots").exit_code == 0
    shop.put()
    assert shop.run("--kinds", "popularity").exit_code == 0


def test_status_works_on_a_database_without_a_service(shop: Shop) -> None:
    shop.put()
    shop.run()
    shown = shop.call("status")
    assert shown.exit_code == 0
    assert "No replica is running." in shown.stdout
    assert "nothing" not in shown.stdout
    assert "served:" not in shown.stdout


def test_users_of_raw_files_have_the_keys_by_which_serving_looks_them_up(shop: Shop) -> None:
    shop.put()
    shop.run()
    expected = {subject_key(SALT.encode(), shop.tenant["id"], "user_id", f"u{number}") for number in range(9)}
    assert set(shop.artifact("history").to_table().column("user_id").to_pylist()) == expected


def test_without_a_source_the_service_s_log_is_read(shop: Shop) -> None:
    name = f"log/events/{shop.tenant['id']}/2026-01-05/w-0000.jsonl"
    shop.put(name=name, schema="event_v1", subject="0" * 32, surface="home", received_at="2026-01-05T00:00:00Z")
    assert shop.pipelines("run").exit_code == 0
    assert shop.artifact("popularity").items.to_list() == [f"i{number}" for number in range(5)]


def test_events_in_an_object_store_give_the_same_manifest_as_files(shop: Shop) -> None:
    shop.put()
    shop.run()
    by_file = shop.manifest()
    with object_store():
        place = fresh_prefix()
        tamper(place, "events/a.jsonl", (shop.directory / "in" / "a.jsonl").read_bytes())
        again = shop.pipelines("run", "--source", place)
        assert (again.exit_code, shop.manifest()) == (0, by_file)
        missing = shop.pipelines("run", "--source", fresh_prefix())
        assert missing.exit_code == 1
        assert "no files" in missing.stderr
        nowhere = shop.pipelines("run", "--source", "s3://no-such-bucket/events")
        assert nowhere.exit_code == 1
        assert "NoSuchBucket" in nowhere.stderr
        assert "Debug" not in nowhere.stderr


def test_an_artifact_store_that_cannot_be_used_is_not_called_a_database(shop: Shop) -> None:
    shop.put()
    (shop.directory / "artifacts").write_text("a file where a folder should be")
    failed = shop.run("--kinds", "popularity")
    assert failed.exit_code == 1
    assert "The artifact store" in failed.stderr
    assert "RECSYS_ARTIFACTS" in failed.stderr
    assert "database" not in failed.stderr


def test_a_work_directory_that_cannot_be_made_is_exit_code_2(shop: Shop) -> None:
    (shop.directory / "work").write_text("a file")
    ran = shop.run()
    assert ran.exit_code == 2
    assert f"{shop.directory / 'work'} cannot be written: Not a directory" in ran.stderr


def test_a_failing_gate_is_exit_code_2_says_which_rows_and_leaves_what_is_served(shop: Shop) -> None:
    shop.put()
    shop.run()
    before = shop.manifest()
    shop.put("{bad", '{"event_id": "x', "\0")
    failed = shop.run()
    assert failed.exit_code == 2
    assert "set_aside: 3 records" in failed.stderr
    assert "a.jsonl:61: malformed" in failed.stderr
    assert '--settings FILE with {"gates": {"max_set_aside_share": 0.01}}' in failed.stderr
    assert shop.manifest() == before
    report = json.loads(next((shop.directory / "work").rglob("report.json")).read_text())
    assert report["published"] is None


def test_a_surface_that_was_not_there_before_is_called_new_with_the_way_back(shop: Shop) -> None:
    shop.put()
    first = shop.run("--kinds", "popularity")
    assert "home is a new surface of shop: it is the first one." in first.stderr
    assert "If it was not meant" not in first.stdout
    again = shop.run("--kinds", "popularity,cooc")
    assert "new surface" not in again.stderr + again.stdout

    slip = shop.run("--kinds", "popularity", "-s", "shome")
    assert "shome is a new surface of shop: so far there are home." in slip.stderr
    assert "shome is a new surface." in next((shop.directory / "work").rglob("shome/**/report.html")).read_text()
    back = shlex.split(slip.stdout.partition("If it was not meant: ")[2].splitlines()[0])
    home = shop.manifest()
    assert shop.call(*back[1:]).exit_code == 0
    assert shop.call("manifest", "get", "-s", "shome").exit_code == 1
    assert shop.manifest() == home
    told = [json.loads(shop.run("--kinds", "popularity", "-s", "pdp", "--json").stdout) for _ in range(2)]
    assert [each["new_surface"] for each in told] == [True, False]


def test_a_surface_that_has_rows_is_not_new(shop: Shop) -> None:
    items = shop.directory / "items.ndjson"
    items.write_text('{"item_id": "i1"}\n')
    assert shop.call("items", "load", str(items), "-s", "home").exit_code == 0
    shop.put()
    assert "new surface" not in shop.run("--kinds", "popularity").stderr


def test_a_dry_run_publishes_nothing_and_is_fine(shop: Shop) -> None:
    shop.put()
    assert shop.run("--dry-run").exit_code == 0
    assert shop.manifest() is None


def test_stage_by_stage_is_the_same_as_a_run(shop: Shop) -> None:
    shop.put()
    for stage in ("ingest", "canonicalise", "validate", "compute"):
        assert shop.run(stage=stage).exit_code == 0
        assert shop.manifest() is None
    assert shop.run(stage="publish").exit_code == 0
    by_stage = shop.manifest()
    assert "current already" in shop.run().stdout
    assert shop.manifest() == by_stage


def test_publishing_before_validation_is_exit_code_2(shop: Shop) -> None:
    shop.put()
    shop.run(stage="ingest")
    shop.run(stage="canonicalise")
    refused = shop.run(stage="publish")
    assert refused.exit_code == 2
    assert "not validated" in refused.stderr


def test_only_the_kinds_asked_for_are_replaced(shop: Shop) -> None:
    shop.put()
    shop.run("--kinds", "popularity,cooc")
    before = shop.manifest()
    shop.put(item_id="other", event_id="new")
    settings = shop.directory / "settings.json"
    settings.write_text('{"gates": {"max_duplicate_share": 1, "max_drift": 1, "min_volume_ratio": 0, '
                        '"max_missing_days_share": 1}}')  # fmt: skip
    assert shop.run("--kinds", "popularity", "--settings", str(settings)).exit_code == 0
    after = shop.manifest()
    assert set(after) == {"popularity", "cooc"}
    assert after["cooc"] == before["cooc"]
    assert after["popularity"] != before["popularity"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--source", "/nowhere"), 2, "There is no /nowhere"),
        (("--catalog", "/nowhere.csv"), 2, "--catalog: there is no file /nowhere.csv"),
        (("--vectors", "/"), 2, "--vectors: there is no file /"),
        (("--kinds", "popularty"), 2, "popularty"),
        (("--segment", "../other"), 2, "--segment"),
        (("--kinds", "embedding"), 1, "--vectors"),
        (("--end", "2025-12-31"), 2, "before --start"),
        (("--end", "2028-01-01"), 1, "max_days_backfill"),
        (("--tenant", "nobody"), 1, "no such tenant"),
        (("--tenant", "nobody"), 1, "recsys tenant list"),
    ],
)
def test_what_cannot_be_done_says_why(shop: Shop, arguments: tuple[str, ...], code: int, said: str) -> None:
    shop.put()
    result = shop.run(*arguments)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())


def test_a_wrong_setting_is_named(shop: Shop) -> None:
    shop.put()
    settings = shop.directory / "settings.json"
    settings.write_text('{"cooc": {"weighting": "jaccard", "neighbors": 3}}')
    result = shop.run("--settings", str(settings))
    assert result.exit_code == 2
    assert "/cooc/weighting" in result.stderr
    assert "neighbours" in result.stderr
