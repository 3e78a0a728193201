"""The tour: breaks the demo's home page and brings it back, again and again, against the service that really runs.

Every claim on the screen is checked before it is made; the first that does not hold ends the tour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from recsys.demo.bad_manifest import MANIFEST, SURFACE, BadManifest, forgive
from recsys.demo.click import click_first
from recsys.demo.place import TENANT
from recsys.demo.showcase import bad_rules
from recsys.demo.why import Why

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recsys.demo.bad_manifest import WrongJob
    from recsys.demo.guide import Answer, Guide
    from recsys.demo.showcase import Showcase

_ADMIN = f"/v1/admin/tenants/{TENANT}"
_RULES = f"{_ADMIN}/rules"


@dataclass(frozen=True)
class Tour:
    """One tour of one running service, which logs what it shows into ``logs``.

    ``job``: what makes its signals of the wrong days; None where signals are rows of tables, which nobody rolls back.
    """

    guide: Guide
    titles: Mapping[str, str]
    showcase: Showcase
    logs: Path
    job: WrongJob | None

    @property
    def request(self) -> dict[str, Any]:
        """What is asked again and again: the home page of somebody who looked at two items."""
        anchors = [self.showcase.in_season.item_id, self.showcase.anchor.item_id]
        return {"surface": SURFACE, "k": 8, "user": {"user_id": "tour"}, "anchors": {"item_ids": anchors}}

    @property
    def why(self) -> Why:
        """Questions about the answer."""
        return Why(self.guide, self.titles, self.request)

    def play(self) -> None:
        """Play every step.

        Raises:
            DemoFailed: a step did not hold; the message says which.
        """
        first = self._ask()
        next_one = self._explain(first)
        bad = self._break_it(first, next_one)
        self._runbook(first, next_one, bad)
        self._break_it(first, next_one)
        self._one_call(first, next_one)
        if self.job:
            again = partial(self._prove, first, next_one)
            BadManifest(self.guide, self.titles, self.request, self.job, again).play(first)
        self._look_back()

    def _ask(self) -> Answer:
        self.guide.screen.step("What does the home page show?")
        anchors = self.showcase.in_season, self.showcase.anchor
        self.guide.screen.say(f"to somebody who looked at {' and '.join(f'{a.item_id} ({a.title})' for a in anchors)}")
        self.guide.send("POST", f"{_ADMIN}/rollback", json={"to": "known_good", "reason": "the tour begins"})
        if self.job:
            forgive(self.guide)
        self.guide.send("POST", f"{_ADMIN}/cache/invalidate", json={"targets": ["config", "rules", "popularity"]})
        wanted = {"rules_version": self.guide.send("GET", _RULES).json()["rules_version"]}
        if self.job:
            wanted["manifest_version"] = self.guide.send("GET", MANIFEST).json()["manifest_version"]
        answer = self.guide.recommend(self.request, **wanted)
        self.guide.hold("the list has items", bool(answer.ranked()))
        self.guide.screen.answer(answer.ranked(), self.titles, answer.meta)
        click_first(self.guide, self.request, answer, self.logs)
        return answer

    def _explain(self, answer: Answer) -> dict[str, Any]:
        self.guide.screen.step("Why this item, and why not that one?")
        self.why.this(answer)
        return self.why.not_the_next(answer)

    def _break_it(self, first: Answer, next_one: dict[str, Any]) -> str:
        self.guide.screen.step("Somebody hides the price labels, and blocks every item that carries one")
        response = self.guide.send(
            "PUT",
            _RULES,
            json=bad_rules(self.showcase),
            headers={"If-Match": f'"{first.rules_version}"', "X-Change-Reason": "sale: no price labels"},
        )
        version: str = response.json()["rules_version"]
        answer = self.guide.recommend(self.request, rules_version=version)
        self.guide.hold("the list is empty", answer.ranked() == [])
        self.guide.screen.answer(answer.ranked(), self.titles, answer.meta)
        said = self.why.not_that(next_one["item_id"], version)
        new = [rule for rule in said["rules"] if rule not in next_one["rules"]]
        named = said["outcome"] == "blocked" and len(new) == 1 and new[0] in said["detail"]
        self.guide.hold("why-not names the rule that blocks it", named)
        return version

    def _runbook(self, first: Answer, next_one: dict[str, Any], bad: str) -> None:
        self.guide.screen.step("The runbook: read, find what it was before, put that back")
        current = self.guide.send("GET", _RULES)
        etag = current.headers["etag"]
        self.guide.hold("the ETag is the bad version", etag == f'"{bad}"')
        entry = self._last_rules_change()
        reason = entry["extra"].get("reason")
        self.guide.screen.say(
            f"audit entry {entry['id']}: {entry['action']} by {entry['actor_sub']}, who gave as reason: {reason}"
        )
        bare = etag.strip('"')
        restored = self.guide.send(
            "PUT",
            _RULES,
            content=msgspec.json.encode(entry["before_state"]),
            headers={"If-Match": bare, "Content-Type": "application/json", "X-Change-Reason": "runbook: before_state"},
        ).json()
        self.guide.hold("the old version is current again", restored["rules_version"] == first.rules_version)
        self.guide.send("POST", f"{_ADMIN}/cache/invalidate", json={"targets": ["rules"]})
        self._prove(first, next_one)

    def _one_call(self, first: Answer, next_one: dict[str, Any]) -> None:
        self.guide.screen.step("The same with one call")
        body = {"to": "known_good", "reason": "home page is empty"}
        moved = self.guide.send("POST", f"{_ADMIN}/rollback", json=body).json()["moved"]
        self.guide.hold("exactly the rules moved", [each["document"] for each in moved] == ["rules"])
        self.guide.screen.say(f"POST {_ADMIN}/rollback {msgspec.json.encode(body).decode()}")
        self._prove(first, next_one)

    def _look_back(self) -> None:
        self.guide.screen.step("Who did what, and why")
        entries = self.guide.send("GET", f"{_ADMIN}/history", params={"limit": 8}).json()["entries"]
        self.guide.screen.history(entries, SURFACE)

    def _prove(self, first: Answer, next_one: dict[str, Any]) -> None:
        """Show that the answer is the first one again: the same bytes, versions and word on what was left out."""
        started = time.perf_counter()
        wanted = {name: version for name, version in first.versions.items() if isinstance(version, str)}
        again = self.guide.recommend(self.request, **wanted)
        took_ms = (time.perf_counter() - started) * 1000
        self.guide.hold("the items are byte for byte the first answer's", bytes(again.items) == bytes(first.items))
        self.guide.hold("the versions are the first answer's", again.versions == first.versions)
        self.guide.hold("the revision went forward", again.meta["revision"] > first.meta["revision"])
        said = self.why.not_that(next_one["item_id"], first.rules_version)
        self.guide.hold("why-not says what it said at first", said == next_one)
        self.guide.screen.proof(len(bytes(first.items)), first.versions, again.meta["revision"], took_ms)

    def _last_rules_change(self) -> dict[str, Any]:
        entries = self.guide.send("GET", f"{_ADMIN}/audit", params={"limit": 50}).json()["entries"]
        found = next((each for each in entries if each["entity_type"] == "rules"), None)
        self.guide.hold(
            "the change is in the audit log, with the state before it", bool(found and found["before_state"])
        )
        return dict(found or {})
