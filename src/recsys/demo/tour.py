"""The tour: breaks the demo's home page and brings it back, twice, against the service that really runs.

Every claim on the screen is checked before it is made; the first that does not hold ends the tour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from recsys.demo.place import TENANT, DemoFailed
from recsys.demo.showcase import bad_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.demo.screen import Screen
    from recsys.demo.showcase import Showcase

SURFACE = "home"
CONVERGED_WITHIN_S = 5.0
_ADMIN = f"/v1/admin/tenants/{TENANT}"
_RULES = f"{_ADMIN}/rules"
_HEADERS = {"X-Dev-User-Id": "tour", "X-Org-Id": TENANT}


class Answer(msgspec.Struct, frozen=True):
    """An answer to recommend; ``items`` are the very bytes that came over the wire."""

    items: msgspec.Raw
    meta: dict[str, Any]

    @property
    def versions(self) -> dict[str, Any]:
        """What produced the answer, apart from the revision, which never comes back."""
        return {
            name: value for name, value in self.meta.items() if name.endswith("_version") or name == "data_revision"
        }

    def ranked(self) -> list[dict[str, Any]]:
        """The items, parsed."""
        ranked: list[dict[str, Any]] = msgspec.json.decode(self.items)
        return ranked


@dataclass(frozen=True)
class Tour:
    """One tour of one running service."""

    client: httpx.Client
    screen: Screen
    titles: Mapping[str, str]
    showcase: Showcase

    def play(self) -> None:
        """Play every step.

        Raises:
            DemoFailed: a step did not hold; the message says which.
        """
        first = self._ask()
        bad = self._break_it(first)
        self._runbook(first, bad)
        self._break_it(first)
        self._one_call(first)
        self._look_back()

    def _ask(self) -> Answer:
        self.screen.step("What does the home page show?")
        self._send("POST", f"{_ADMIN}/rollback", json={"to": "known_good", "reason": "the tour begins"})
        self._send("POST", f"{_ADMIN}/cache/invalidate", json={"targets": ["config", "rules", "popularity"]})
        wanted = self._send("GET", _RULES).json()["rules_version"]
        answer = self._served(wanted)
        self._hold("the list has items", bool(answer.ranked()))
        self.screen.answer(answer.ranked(), self.titles, answer.meta)
        return answer

    def _break_it(self, first: Answer) -> str:
        self.screen.step("Somebody hides the price labels, and blocks every item that carries one")
        response = self._send(
            "PUT",
            _RULES,
            json=bad_rules(self.showcase),
            headers={"If-Match": f'"{first.meta["rules_version"]}"', "X-Change-Reason": "sale: no price labels"},
        )
        version: str = response.json()["rules_version"]
        answer = self._served(version)
        self._hold("the list is empty", answer.ranked() == [])
        self.screen.answer(answer.ranked(), self.titles, answer.meta)
        return version

    def _runbook(self, first: Answer, bad: str) -> None:
        self.screen.step("The runbook: read, find what it was before, put that back")
        current = self._send("GET", _RULES)
        etag = current.headers["etag"]
        self._hold("the ETag is the bad version", etag == f'"{bad}"')
        entry = self._last_rules_change()
        reason = entry["extra"].get("reason")
        self.screen.say(
            f"audit entry {entry['id']}: {entry['action']} by {entry['actor_sub']}, who gave as reason: {reason}"
        )
        bare = etag.strip('"')
        restored = self._send(
            "PUT",
            _RULES,
            content=msgspec.json.encode(entry["before_state"]),
            headers={"If-Match": bare, "Content-Type": "application/json", "X-Change-Reason": "runbook: before_state"},
        ).json()
        self._hold("the old version is current again", restored["rules_version"] == first.meta["rules_version"])
        self._send("POST", f"{_ADMIN}/cache/invalidate", json={"targets": ["rules"]})
        self._prove(first)

    def _one_call(self, first: Answer) -> None:
        self.screen.step("The same with one call")
        body = {"to": "known_good", "reason": "home page is empty"}
        moved = self._send("POST", f"{_ADMIN}/rollback", json=body).json()["moved"]
        self._hold("exactly the rules moved", [each["document"] for each in moved] == ["rules"])
        self.screen.say(f"POST {_ADMIN}/rollback {msgspec.json.encode(body).decode()}")
        self._prove(first)

    def _look_back(self) -> None:
        self.screen.step("Who did what, and why")
        self.screen.history(self._send("GET", f"{_ADMIN}/history", params={"limit": 5}).json()["entries"])

    def _prove(self, first: Answer) -> None:
        """Show that the answer is the first one again: the same bytes, made by the same versions."""
        started = time.perf_counter()
        again = self._served(first.meta["rules_version"])
        took_ms = (time.perf_counter() - started) * 1000
        self._hold("the items are byte for byte the first answer's", bytes(again.items) == bytes(first.items))
        self._hold("the versions are the first answer's", again.versions == first.versions)
        self._hold("the revision went forward", again.meta["revision"] > first.meta["revision"])
        self.screen.proof(len(bytes(first.items)), first.versions, again.meta["revision"], took_ms)

    def _last_rules_change(self) -> dict[str, Any]:
        entries = self._send("GET", f"{_ADMIN}/audit", params={"limit": 50}).json()["entries"]
        found = next((each for each in entries if each["entity_type"] == "rules"), None)
        self._hold("the change is in the audit log, with the state before it", bool(found and found["before_state"]))
        return dict(found or {})

    def _served(self, rules_version: str) -> Answer:
        """Ask until the answer comes from a version; every worker has it within a moment."""
        give_up_at = time.monotonic() + CONVERGED_WITHIN_S
        while True:
            body = {
                "surface": SURFACE,
                "k": 8,
                "user": {"user_id": "tour"},
                "anchors": {"item_ids": [self.showcase.anchor.item_id]},
            }
            answer = msgspec.json.decode(self._send("POST", "/v1/recommend", json=body).content, type=Answer)
            if answer.meta["rules_version"] == rules_version:
                return answer
            self._hold(
                f"rules {rules_version[:12]} are served within {CONVERGED_WITHIN_S:.0f} s",
                time.monotonic() < give_up_at,
            )
            time.sleep(0.05)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {**_HEADERS, **request.pop("headers", {})}
        try:
            response = self.client.request(method, path, headers=headers, **request)
        except httpx.TransportError as error:
            raise DemoFailed(f"{method} {path}: no answer ({error}).") from None
        if not response.is_success:
            raise DemoFailed(f"{method} {path} was answered with {response.status_code}:\n{response.text}")
        return response

    def _hold(self, claim: str, holds: object) -> None:
        if not holds:
            raise DemoFailed(f"This did not hold: {claim}.")
        self.screen.holds(claim)
