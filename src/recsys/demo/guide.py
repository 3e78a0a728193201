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

CONVERGED_WITHIN_S = 5.0
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

    def ranked(self) -> list[dict[str, Any]]:
        """The items, parsed."""
        ranked: list[dict[str, Any]] = msgspec.json.decode(self.items)
        return ranked


@dataclass(frozen=True)
class Guide:
    """Asks, and checks every claim before it is on the screen."""

    client: httpx.Client
    screen: Screen

    def recommend(self, body: dict[str, Any], rules_version: str) -> Answer:
        """Ask until the answer comes from a version of the rules; every worker has it within a moment.

        Raises:
            DemoFailed: that took too long.
        """
        give_up_at = time.monotonic() + CONVERGED_WITHIN_S
        while True:
            answer = msgspec.json.decode(self.send("POST", "/v1/recommend", json=body).content, type=Answer)
            if answer.rules_version == rules_version:
                return answer
            self.require(
                f"rules {rules_version[:12]} are served within {CONVERGED_WITHIN_S:.0f} s",
                time.monotonic() < give_up_at,
            )
            time.sleep(0.05)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request.

        Raises:
            DemoFailed: it was refused, or not answered.
        """
        headers = {**_HEADERS, **request.pop("headers", {})}
        try:
            response = self.client.request(method, path, headers=headers, **request)
        except httpx.TransportError as error:
            raise DemoFailed(f"{method} {path}: no answer ({error}).") from None
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
