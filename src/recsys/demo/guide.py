"""How the tour talks to the service: what is refused, or does not hold, ends it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from recsys.demo.place import TENANT, DemoFailed

if TYPE_CHECKING:
    from recsys.demo.screen import Screen

CONVERGED_WITHIN_S = 10.0
_HEADERS = {"X-Dev-User-Id": "tour", "X-Org-Id": TENANT}


class Answer(msgspec.Struct, frozen=True):
    """An answer to recommend; ``items`` are the very bytes that came over the wire."""

    items: msgspec.Raw
    meta: dict[str, Any]
    explain_item: dict[str, Any] | None = None

    @property
    def versions(self) -> dict[str, Any]:
        """What produced the answer, apart from the revision, which never comes back."""
        return {
            name: value for name, value in self.meta.items() if name.endswith("_version") or name == "data_revision"
        }

    @property
    def rules_version(self) -> str:
        """The rules that produced the answer; the demo always has some."""
        return str(self.meta["rules_version"])

    @property
    def manifest_version(self) -> str:
        """The manifest that produced the answer; only for a demo that is served from artifacts."""
        return str(self.meta["manifest_version"])

    def ranked(self) -> list[dict[str, Any]]:
        """The items, parsed."""
        ranked: list[dict[str, Any]] = msgspec.json.decode(self.items)
        return ranked


@dataclass(frozen=True)
class Guide:
    """Asks, and checks every claim before it is on the screen."""

    client: httpx.Client
    screen: Screen

    def recommend(self, body: dict[str, Any], **wanted: str) -> Answer:
        """Ask until the answer comes from the ``wanted`` versions; every worker has them within a moment.

        Raises:
            DemoFailed: that took too long.
        """
        give_up_at = time.monotonic() + CONVERGED_WITHIN_S
        while True:
            answer = msgspec.json.decode(self.send("POST", "/v1/recommend", json=body).content, type=Answer)
            if wanted.items() <= answer.versions.items():
                return answer
            named = ", ".join(f"{name} {version[:12]}" for name, version in wanted.items())
            self.require(f"{named}: served within {CONVERGED_WITHIN_S:.0f} s", time.monotonic() < give_up_at)
            time.sleep(0.05)

    def refused(self, method: str, path: str, code: str, **request: Any) -> dict[str, Any]:
        """Send a request that is to be refused; the problem.

        Raises:
            DemoFailed: it was not refused with that code, or not answered.
        """
        response = self._send(method, path, **request)
        problem: dict[str, Any] = {} if response.is_success else response.json()
        self.hold(f"it is refused: {response.status_code} {code}", problem.get("code") == code)
        return problem

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request.

        Raises:
            DemoFailed: it was refused, or not answered.
        """
        response = self._send(method, path, **request)
        if not response.is_success:
            raise DemoFailed(f"{method} {path} was answered with {response.status_code}:\n{response.text}")
        return response

    def hold(self, claim: str, holds: object) -> None:
        """Make a claim.

        Raises:
            DemoFailed: it does not hold.
        """
        self.require(claim, holds)
        self.screen.holds(claim)

    def require(self, claim: str, holds: object) -> None:
        """As :meth:`hold`, but for what goes without saying."""
        if not holds:
            raise DemoFailed(f"This did not hold: {claim}.")

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {**_HEADERS, **request.pop("headers", {})}
        try:
            return self.client.request(method, path, headers=headers, **request)
        except httpx.TransportError as error:
            raise DemoFailed(f"{method} {path}: no answer ({error}).") from None
