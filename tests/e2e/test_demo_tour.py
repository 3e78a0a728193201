"""The tour does not take a service's word for it: a step that does not hold ends it."""

import json
from collections.abc import Callable
from io import StringIO

import httpx
import pytest
from rich.console import Console

from recsys.demo.place import DemoFailed
from recsys.demo.product import Product
from recsys.demo.screen import Screen
from recsys.demo.showcase import Showcase
from recsys.demo.tour import Tour

GOOD, BAD = "a" * 64, "b" * 64
PRODUCT = Product("i1", "One", ("price:2-5",), "toys", 2.5, "2011-01-01T00:00:00Z")
FULL = '[{"item_id":"i1","rank":1,"score":0.5}]'


class Liar:
    """Plays a service that keeps every promise, but for the lie it is told to tell."""

    def __init__(self, lie: str) -> None:
        self.lie, self.rules, self.revision = lie, GOOD, 2

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/admin/tenants/demo")
        answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {
            "/v1/recommend": self.recommend,
            "/rollback": self.rollback,
            "/rules": self.get if request.method == "GET" else self.put,
            "/cache/invalidate": self.done,
            "/audit": self.audit,
            "/history": self.history,
        }
        return answers[path](request)

    def recommend(self, _: httpx.Request) -> httpx.Response:
        broken = self.rules == BAD and self.lie != "still full"
        items = "[]" if broken else FULL
        if self.lie == "other bytes" and self.revision > 3:
            items = items.replace("0.5", "0.50")
        versions = {"config_version": GOOD, "rules_version": self.rules, "manifest_version": None}
        meta = {**versions, "algo_version": "1", "revision": self.revision, "data_revision": 1}
        if self.lie == "other data" and self.revision > 3:
            meta["data_revision"] = 2
        return httpx.Response(200, text=f'{{"items":{items},"meta":{json.dumps(meta)}}}')

    def get(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rules_version": self.rules}, headers={"ETag": f'"{self.rules}"'})

    def put(self, request: httpx.Request) -> httpx.Response:
        was_bad = request.headers["If-Match"].strip('"') == BAD
        self.rules, self.revision = (GOOD if was_bad else BAD), self.revision + 1
        return httpx.Response(200, json={"rules_version": self.rules})

    def rollback(self, _: httpx.Request) -> httpx.Response:
        moved = [{"document": "rules"}] if self.rules == BAD else []
        if self.lie != "no rollback":
            self.rules, self.revision = GOOD, self.revision + len(moved)
        return httpx.Response(200, json={"moved": moved if self.lie != "no rollback" else []})

    def audit(self, _: httpx.Request) -> httpx.Response:
        entry = {"id": 3, "action": "rules.update", "actor_sub": "tour", "entity_type": "rules", "extra": {}}
        state: object = {"rules": []} if self.lie != "no state" else None
        return httpx.Response(200, json={"entries": [{**entry, "before_state": state}]})

    def history(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"entries": []})

    def done(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if self.lie != "error" else 500, json={})


def _play(lie: str) -> str:
    said = StringIO()
    showcase = Showcase(PRODUCT, PRODUCT, "toys", "easter")
    with httpx.Client(transport=httpx.MockTransport(Liar(lie)), base_url="http://demo.test") as client:
        Tour(client, Screen(Console(file=said, width=120)), {"i1": "One"}, showcase).play()
    return said.getvalue()


def test_an_honest_service_passes() -> None:
    assert "✓ the revision went forward" in _play("none")


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("still full", "the list is empty"),
        ("other bytes", "byte for byte"),
        ("other data", "the versions are the first answer's"),
        ("no rollback", "exactly the rules moved"),
        ("no state", "with the state before it"),
        ("error", "was answered with 500"),
    ],
)
def test_a_step_that_does_not_hold_ends_the_tour(lie: str, words: str) -> None:
    with pytest.raises(DemoFailed, match=words):
        _play(lie)
