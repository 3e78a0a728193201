"""``recsys pipelines tune`` on a real database: files are left, and nothing is applied."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from recsys.cli.commands import build_app
from tests.support.databases import SqliteTemplate

DAYS = ("--start", "2026-01-01", "--end", "2026-01-12")
CONFIG = {"weights": {"pop": 1.0}, "surfaces": {"pdp": {"algorithm": "cooc"}}}


class Shop:
    """A tenant whose users each like one of four groups of items."""

    def __init__(self, db: str, directory: Path) -> None:
        self.db = db
        self.directory = directory
        self.call("tenant", "create", "shop")
        (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self._events()))
        (directory / "config.json").write_text(json.dumps(CONFIG))

    def call(self, *arguments: str) -> Result:
        environment = {"RECSYS_DB": self.db, "RECSYS_TENANT": "shop", "RECSYS_SUBJECT_SALT": "0123456789abcdef"}
        environment["RECSYS_ARTIFACTS"] = str(self.directory / "artifacts")
        environment["RECSYS_LOG_DIR"] = str(self.directory / "log")
        return CliRunner().invoke(build_app(), arguments, env=environment)

    def pipelines(self, stage: str, *arguments: str) -> Result:
        return self.call("pipelines", stage, "-s", "home", *DAYS, "--work", str(self.directory / "work"), *arguments)

    def ingested(self) -> None:
        for stage in ("ingest", "canonicalise"):
            done = self.pipelines(stage, "--source", str(self.directory / "events.jsonl"))
            assert done.exit_code == 0, done.stderr

    def left(self, name: str) -> Any:
        return json.loads(self.path(name).read_text())

    def path(self, name: str) -> Path:
        return next((self.directory / "work").rglob(f"tune/{name}"))

    def _events(self) -> list[dict[str, Any]]:
        draw = random.Random(7)
        return [
            {
                "event_id": f"{user}-{day}-{number}", "type": "purchase", "at": f"2026-01-{day:02}T10:{number:02}:00Z",
                "user_id": f"u{user}", "session_id": f"s{user}-{day}", "item_id": f"g{user % 4}-{draw.randrange(12):02}",
            }
            for user in range(40) for day in range(1, 13) for number in range(3)
        ]  # fmt: skip


@pytest.fixture
def shop(sqlite_template: SqliteTemplate, tmp_path: Path) -> Shop:
    return Shop(sqlite_template.fresh(), tmp_path)


def test_it_leaves_a_candidate_and_a_report_and_applies_nothing(shop: Shop) -> None:
    shop.ingested()
    put = shop.call("config", "put", str(shop.directory / "config.json"))
    assert put.exit_code == 0, put.stderr
    history = shop.call("history", "--json").stdout
    etag = json.loads(shop.call("config", "get", "--json").stdout)["config_version"]

    done = shop.pipelines("tune", "--validation-days", "3")
    assert done.exit_code == 0, done.stderr
    assert shop.call("history", "--json").stdout == history
    assert json.loads(shop.call("config", "get", "--json").stdout)["config"] == CONFIG
    assert not (shop.directory / "artifacts").exists()

    report, candidate = shop.left("report.json"), shop.left("config.json")
    assert report["best"]["ndcg"][0] > report["current"]["ndcg"][0] + 0.2
    assert report["clearly_better"]
    assert (report["train"], report["validation"]) == (["2026-01-01", "2026-01-09"], ["2026-01-10", "2026-01-12"])
    assert candidate["surfaces"].pop("home")
    assert candidate == CONFIG
    assert "Tuning of shop / home" in shop.path("report.md").read_text()

    stderr = done.stderr.replace("\n", " ")
    assert f"config put {shop.path('config.json')}" in stderr
    assert f"--if-match {etag}" in stderr
    applied = shop.call("config", "put", str(shop.path("config.json")), "--if-match", etag)
    assert applied.exit_code == 0, applied.stderr
    settings = shop.pipelines("run", "--settings", str(shop.path("pipelines.json")), "--dry-run",
                              "--source", str(shop.directory / "events.jsonl"))  # fmt: skip
    assert settings.exit_code == 0, settings.stderr


def test_twice_gives_the_same_files(shop: Shop) -> None:
    shop.ingested()
    found = []
    for _ in ("first", "again"):
        done = shop.pipelines("tune", "--validation-days", "3", "--predict", "sessions")
        assert done.exit_code == 0, done.stderr
        names = ("config.json", "pipelines.json", "report.json", "report.md")
        found.append([shop.path(name).read_bytes() for name in names])
        assert "--if-match" not in done.stderr  # there is no config yet
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--validation-days", "12"), 2, "leaves no day"),
        (("--outcome", "purchased"), 2, "purchased is not among view"),
        (("--outcome", "view"), 1, "Only 0 users can be judged from 2026-01-10 to 2026-01-12"),
        (("--segment", "other"), 1, "There are no events from 2026-01-01 to 2026-01-12"),
    ],
)
def test_what_cannot_be_tuned_is_told(shop: Shop, arguments: tuple[str, ...], code: int, message: str) -> None:
    shop.ingested()
    done = shop.pipelines("tune", "--validation-days", "3", *arguments)
    assert done.exit_code == code
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_without_canonical_events_it_says_what_to_run_first(shop: Shop) -> None:
    done = shop.pipelines("tune", "--validation-days", "3")
    assert done.exit_code == 1
    assert "pipelines run" in done.stderr
