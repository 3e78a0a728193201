"""The tour does not take a service's word for it: a step that does not hold ends it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from rich.console import Console

from recsys.demo import click
from recsys.demo.bad_manifest import REASON
from recsys.demo.guide import Guide
from recsys.demo.place import DemoFailed
from recsys.demo.product import Product
from recsys.demo.screen import Screen
from recsys.demo.showcase import Showcase
from recsys.demo.tour import Tour
from recsys.domain.errors import VersionQuarantined
from recsys.domain.quarantine import QuarantinedVersion

GOOD, BAD = "a" * 64, "b" * 64
SIGNALS, WRONG = "c" * 64, "d" * 64
PRODUCT = Product("i1", "One", ("price:2-5",), "toys", 2.5, "2011-01-01T00:00:00Z")
QUARANTINED = QuarantinedVersion(
    document="manifest", surface="home", version=WRONG, at=datetime(2026, 1, 1, tzinfo=UTC), by="tour", reason=REASON
)
QUARANTINED_JSON = json.loads(msgspec.json.encode(QUARANTINED))
FULL = '[{"item_id":"i1","rank":1,"score":0.5}]'


class Liar:
    """Plays a service that keeps every promise, but for the lie it is told to tell."""

    def __init__(self, lie: str, logs: Path) -> None:
        self.lie, self.logs, self.rules, self.revision = lie, logs, GOOD, 2
        self.manifest: str | None = SIGNALS if lie != "tables" else None
        self.quarantined = [WRONG]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/admin/tenants/demo")
        answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {
            "/v1/recommend": self.recommend,
            "/v1/events": self.events,
            "/rollback": self.rollback,
            "/rules": self.get if request.method == "GET" else self.put,
            "/cache/invalidate": self.done,
            "/audit": self.audit,
            "/history": self.history,
            "/quarantine": self.list_quarantined,
            "/manifests/home": self.get_manifest if request.method == "GET" else self.put_manifest,
            f"/manifests/home/versions/{WRONG}": self.get_manifest,
            f"/manifests/home/versions/{WRONG}/quarantine": self.lift,
        }
        return answers[path](request)

    def recommend(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        options = asked.get("options", {})
        items = "[]" if self.broken and self.lie != "still full" else self.items(asked["k"], options)
        if self.manifest == WRONG and self.lie != "same list":
            items = items.replace("i1", "i3")
        if self.lie == "other bytes" and self.revision > 3:
            items = items.replace("0.5", "0.50")
        versions = {"config_version": GOOD, "rules_version": self.rules, "manifest_version": self.manifest}
        meta = {**versions, "algo_version": "1", "revision": self.revision, "data_revision": 1}
        meta |= {"tenant_id": "t1", "request_id": "r1"}
        if self.lie == "other data" and self.revision > 3:
            meta["data_revision"] = 2
        self.log("r2" if self.lie == "no exposure" else "r1")
        said = self.why_not(options["explain_item"]) if "explain_item" in options else None
        answer = f'{{"items":{items},"meta":{json.dumps(meta)},"explain_item":{json.dumps(said)}}}'
        return httpx.Response(200, text=answer)

    @property
    def broken(self) -> bool:
        return self.rules == BAD

    def items(self, k: int, options: dict[str, Any]) -> str:
        if "explain" in options:
            part = {"raw": 1.0, "normalised": 0.5, "weight": 1.0, "contribution": 0.5}
            signals = {"pop": part, "boost": 0.1 if self.lie == "another sum" else 0.0}
            item: dict[str, Any] = {"item_id": "i1", "rank": 1, "score": 0.5}
            item["score"] += 0.1 if self.lie == "explaining changes" else 0.0
            return json.dumps([item | {"reasons": ["popular"], "explain": {"signals": signals}}])
        return FULL if k == 8 else FULL[:-1] + ',{"item_id":"i2","rank":2,"score":0.4}]'

    def why_not(self, item_id: str) -> dict[str, Any]:
        if self.broken and self.lie != "no blame":
            detail = "Blocked." if self.lie == "no name" else "Blocked by b."
            return {"item_id": item_id, "rules": ["a", "b"], "outcome": "blocked", "detail": detail}
        rank = 10 if self.lie == "another rank" and self.revision > 3 else 9
        outcome = "capped" if self.lie == "full" else "below_top_k"
        return {"item_id": item_id, "rules": ["a"], "outcome": outcome, "rank": rank, "detail": f"Rank {rank}."}

    def log(self, request_id: str) -> None:
        folder = self.logs / "exposures" / "t1" / "2011-12-09"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "w-0000.jsonl").write_text(f'{{"schema":"service_v1","request_id":"{request_id}"}}\n')

    def events(self, request: httpx.Request) -> httpx.Response:
        (event,) = json.loads(request.content)["events"]
        ours = event["request_id"] == "r1" and event["item_id"] == "i1" and self.lie != "lost click"
        return httpx.Response(200, json={"accepted": int(ours)})

    def get(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rules_version": self.rules}, headers={"ETag": f'"{self.rules}"'})

    def put(self, request: httpx.Request) -> httpx.Response:
        was_bad = request.headers["If-Match"].strip('"') == BAD
        self.rules, self.revision = (GOOD if was_bad else BAD), self.revision + 1
        return httpx.Response(200, json={"rules_version": self.rules})

    def rollback(self, request: httpx.Request) -> httpx.Response:
        moved = [{"document": "rules", "surface": None}] if self.rules == BAD else []
        if self.manifest == WRONG:
            moved = [{"document": "manifest", "surface": "home"}]
            asked = json.loads(request.content).get("quarantine", False)
            self.quarantined = [WRONG] if asked and self.lie != "no quarantine" else []
        if self.lie == "no rollback" or (self.lie == "signals stay" and self.manifest == WRONG):
            return httpx.Response(200, json={"moved": []})
        self.rules, self.manifest, self.revision = GOOD, SIGNALS, self.revision + len(moved)
        return httpx.Response(200, json={"moved": moved})

    def audit(self, _: httpx.Request) -> httpx.Response:
        entry = {"id": 3, "action": "rules.update", "actor_sub": "tour", "entity_type": "rules", "extra": {}}
        state: object = {"rules": []} if self.lie != "no state" else None
        return httpx.Response(200, json={"entries": [{**entry, "before_state": state}]})

    def history(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"entries": []})

    def run_job(self) -> str:
        """The job of the wrong days."""
        if self.quarantined and self.lie != "published again":
            raise VersionQuarantined([QUARANTINED])
        self.manifest, self.revision = (version := WRONG if self.lie != "same manifest" else SIGNALS), self.revision + 1
        return version

    def list_quarantined(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"quarantined": [QUARANTINED_JSON for _ in self.quarantined]})

    def lift(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "DELETE"
        self.quarantined = []
        return httpx.Response(200, json={})

    def get_manifest(self, request: httpx.Request) -> httpx.Response:
        version = WRONG if WRONG in request.url.path else self.manifest
        return httpx.Response(200, json={"manifest_version": version, "manifest": {"of": version}})

    def put_manifest(self, request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"of": WRONG}
        assert "X-Override-Quarantine" not in request.headers
        refused = 200 if self.lie == "put again" else 422
        return httpx.Response(refused, json={"code": "RECSYS_VERSION_QUARANTINED", "detail": "It is bad."})

    def done(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if self.lie != "error" else 500, json={})


class Job:
    """Publishes beside the service."""

    command = "recsys pipelines run --of-the-wrong-days"

    def __init__(self, liar: Liar) -> None:
        self.liar = liar

    def __call__(self) -> str:
        return self.liar.run_job()


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Plays the tour with a liar; what was on the screen."""
    monkeypatch.setattr(click, "WRITTEN_WITHIN_S", 0.1)

    def played(lie: str) -> str:
        said = StringIO()
        showcase = Showcase(PRODUCT, PRODUCT, PRODUCT, "easter")
        liar = Liar(lie, tmp_path)
        transport = httpx.MockTransport(liar)
        with httpx.Client(transport=transport, base_url="http://demo.test") as client:
            guide = Guide(client, Screen(Console(file=said, width=120)))
            Tour(guide, {"i1": "One"}, showcase, tmp_path, Job(liar) if lie != "tables" else None).play()
        return said.getvalue()

    return played


def test_an_honest_service_passes(play: Callable[[str], str], tmp_path: Path) -> None:
    said = play("none")
    assert "✓ the revision went forward" in said
    assert str(tmp_path / "exposures" / "t1" / "2011-12-09" / "w-0000.jsonl") in said
    assert "Why i1 (One)? popular" in said
    told = [line for line in said.splitlines() if line.startswith("Why not i2?")]
    before, blocked = "Why not i2? below_top_k: Rank 9.", "Why not i2? blocked: Blocked by b."
    assert told == [before, blocked, before, blocked, before, before, before]
    assert said.count(f"manifest {WRONG[:12]}, put under quarantine by tour ({REASON}), is free again") == 2
    assert "recsys pipelines run --of-the-wrong-days" in said
    assert "✓ 1 of 1 items are gone" in said
    assert f"manifest before {SIGNALS[:12]} · after {WRONG[:12]}" in said


def test_where_signals_are_rows_of_tables_no_manifest_is_spoken_of(play: Callable[[str], str]) -> None:
    said = play("tables")
    assert said.count("✓ the items are byte for byte the first answer's") == 2
    assert "pipelines run" not in said


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("lost click", "with the answer's request_id, is accepted"),
        ("no exposure", "the answer is in .* within"),
        ("explaining changes", "explaining does not change the answer"),
        ("another sum", "its parts add up to its score"),
        ("full", "nothing is wrong with it but its rank"),
        ("still full", "the list is empty"),
        ("no blame", "why-not names the rule"),
        ("no name", "why-not names the rule"),
        ("other bytes", "byte for byte"),
        ("other data", "the versions are the first answer's"),
        ("another rank", "why-not says what it said at first"),
        ("no rollback", "exactly the rules moved"),
        ("no state", "with the state before it"),
        ("same manifest", "another manifest is served"),
        ("same list", "items are gone"),
        ("signals stay", "exactly the manifest moved"),
        ("no quarantine", "is under quarantine"),
        ("published again", "the job's manifest is refused"),
        ("put again", "it is refused"),
        ("error", "was answered with 500"),
    ],
)
def test_a_step_that_does_not_hold_ends_the_tour(play: Callable[[str], str], lie: str, words: str) -> None:
    with pytest.raises(DemoFailed, match=words):
        play(lie)
