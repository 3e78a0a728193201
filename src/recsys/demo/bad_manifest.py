"""The tour's bad signals: a job publishes a manifest that every gate lets pass, one call takes it back for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from recsys.demo.place import TENANT
from recsys.domain.errors import VersionQuarantined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.demo.guide import Answer, Guide

SURFACE = "home"
LEAST_GONE = 0.25
"""Of the first answer's items, this share at least is gone when signals are made of the wrong days."""
_ADMIN = f"/v1/admin/tenants/{TENANT}"
MANIFEST = f"{_ADMIN}/manifests/{SURFACE}"
REASON = "signals of a year ago"


class WrongJob(Protocol):
    """The job that was given the wrong days."""

    @property
    def command(self) -> str:
        """The same on the command line."""

    def __call__(self) -> str:
        """Publish the manifest of the surface; its version.

        Raises:
            DemoFailed: it could not.
            VersionQuarantined: that version was found to be bad.
        """


@dataclass(frozen=True)
class BadManifest:
    """Breaks the signals of a surface with ``job``, and brings them back; ``prove`` compares with the first answer."""

    guide: Guide
    titles: Mapping[str, str]
    request: Mapping[str, Any]
    job: WrongJob
    prove: Callable[[], None]

    def play(self, first: Answer) -> None:
        """Play the steps.

        Raises:
            DemoFailed: one did not hold.
        """
        bad = self._break_it(first)
        self._take_back(first, bad)
        self._refuse(first, bad)

    def _break_it(self, first: Answer) -> str:
        screen = self.guide.screen
        screen.step("The nightly job makes the signals anew, of the right days in the wrong year")
        screen.command(self.job.command)
        with screen.working("The pipelines run …"):
            bad = self.job()
        screen.holds("every gate lets it pass, and it is published")
        answer = self.guide.recommend(dict(self.request), rules_version=first.rules_version, manifest_version=bad)
        self.guide.hold("another manifest is served", bad != first.manifest_version)
        screen.answer(answer.ranked(), self.titles, answer.meta)
        before, after = _ids(first), _ids(answer)
        gone = [item_id for item_id in before if item_id not in after]
        self.guide.hold(
            f"{len(gone)} of {len(before)} items are gone from the list", len(gone) >= LEAST_GONE * len(before)
        )
        screen.say(f"gone: {', '.join(self.titles.get(item_id, item_id) for item_id in gone)}")
        screen.say(f"manifest before {first.manifest_version[:12]} · after {bad[:12]} · config and rules are the same")
        return bad

    def _take_back(self, first: Answer, bad: str) -> None:
        self.guide.screen.step("One call brings the signals back, and marks the others as bad")
        body = {"to": "known_good", "reason": REASON, "quarantine": True}
        answer = self.guide.send("POST", f"{_ADMIN}/rollback", json=body).json()
        self.guide.screen.command(f"POST {_ADMIN}/rollback {msgspec.json.encode(body).decode()}")
        moved = [(each["document"], each["surface"]) for each in answer["moved"]]
        self.guide.hold("exactly the manifest moved", moved == [("manifest", SURFACE)])
        listed = self.guide.send("GET", f"{_ADMIN}/quarantine").json()["quarantined"]
        self.guide.hold(f"manifest {bad[:12]} is under quarantine", bad in [each["version"] for each in listed])
        self.prove()

    def _refuse(self, first: Answer, bad: str) -> None:
        self.guide.screen.step("The job comes again the next night, and somebody tries by hand")
        try:
            with self.guide.screen.working("The pipelines run …"):
                self.job()
        except VersionQuarantined as refused:
            self.guide.hold("the job makes the same signals, and their manifest is refused", bad in refused.detail)
            self.guide.screen.say(refused.detail)
        else:
            self.guide.require("the job's manifest is refused", None)
        document = self.guide.send("GET", f"{MANIFEST}/versions/{bad}").json()["manifest"]
        headers = {"If-Match": f'"{first.manifest_version}"'}
        self.guide.refused("PUT", MANIFEST, "RECSYS_VERSION_QUARANTINED", json=document, headers=headers)
        self.guide.screen.say("only X-Override-Quarantine: <why> would do it, and the audit log would say so")
        self.prove()
        forgive(self.guide)


def forgive(guide: Guide) -> None:
    """Lift every quarantine of the surface's manifests: the job is to publish its own again, in a tour or by hand."""
    for each in guide.send("GET", f"{_ADMIN}/quarantine").json()["quarantined"]:
        if (each["document"], each["surface"]) == ("manifest", SURFACE):
            guide.send("DELETE", f"{MANIFEST}/versions/{each['version']}/quarantine")
            said = f"put under quarantine by {each['by']} ({each['reason']}), is free again"
            guide.screen.say(f"manifest {each['version'][:12]}, {said}")


def _ids(answer: Answer) -> list[str]:
    return [each["item_id"] for each in answer.ranked()]
