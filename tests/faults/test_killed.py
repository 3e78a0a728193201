"""Killed anywhere in a change, the service leaves all of it or nothing, and the same request sent again completes it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.compare_and_set import EVERYWHERE, create_tenants
from tests.support.effort import effort
from tests.support.server import free_port
from tests.support.shell import by_hand

ADMIN = "/v1/admin/tenants/t0"
KILLS = effort(8, 100)
"""On each kind of database."""
FIRST, SECOND = {"weights": {"pop": 1}}, {"weights": {"pop": 2}}
ENDS = ("before-commit", "after-commit", "before-reply")


class Mortal:
    """A service that can be told where to die, and is started anew when it has."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.file = directory / "fate"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._environ = os.environ | {
            "RECSYS_DB": database_url,
            "RECSYS_DEV_AUTH": "true",
            "RECSYS_LOG_DIR": str(directory / "logs"),
        }
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.mortal", str(self._port), str(self.file)]
        process = subprocess.Popen(command, env=self._environ)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, "the service did not start"
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return process
            time.sleep(0.02)
        raise AssertionError("not ready")

    def count_statements(self) -> int:
        """How many statements the last change took."""
        return int(self.file.with_suffix(".count").read_text())

    def change_and_die(self, point: str, change: "Change") -> None:
        """Ask for a change on the way of which the service dies there; then start it again."""
        self.file.write_text(point)
        with contextlib.suppress(httpx.TransportError):
            answer = change.ask(self.url)
            raise AssertionError(f"at {point}: it was meant to die, and answered {answer.text}")
        assert self.process.wait(20) == -signal.SIGKILL
        self.file.unlink()
        self.process = self._start()


class Change:
    """A change, each time to the other of two configs, guarded by the revision from which it started."""

    def __init__(self, url: str, number: int) -> None:
        self.number = number
        self.started_from = httpx.get(f"{url}{ADMIN}/config", headers=EVERYWHERE).raise_for_status().json()["revision"]

    def ask(self, url: str) -> httpx.Response:
        """Send it; every third one as a rollback."""
        headers = EVERYWHERE | {"If-Revision": str(self.started_from), "X-Change-Reason": f"change {self.number}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            if self.number % 3 == 2:
                return client.post(f"{ADMIN}/config/rollback", json={"steps": 1})
            return client.put(f"{ADMIN}/config", json={"weights": {"pop": 10 + self.number}})


@pytest.fixture
def mortal(database_url: str, tmp_path: Path) -> Iterator[Mortal]:
    mortal = Mortal(database_url, tmp_path)
    try:
        yield mortal
    finally:
        mortal.process.kill()
        mortal.process.wait()


def test_no_torn_state_wherever_it_is_killed_and_a_retry_completes(mortal: Mortal, database_url: str) -> None:
    create_tenants(mortal.url, ["t0"])
    for config in (FIRST, SECOND):
        httpx.put(f"{mortal.url}{ADMIN}/config", json=config, headers=EVERYWHERE).raise_for_status()
    points = [str(at) for at in range(1, mortal.count_statements() + 1)]
    wanted = _spread([*points, *ENDS], KILLS)
    outcomes: Counter[str] = Counter()
    for number, point in enumerate(wanted):
        change = Change(mortal.url, number)
        mortal.change_and_die(point, change)
        after = _whole_state(database_url)
        outcomes["made" if after > change.started_from else "not made"] += 1
        assert (after > change.started_from) == (point in ("after-commit", "before-reply"))
        answer = change.ask(mortal.url)
        _check_retry(answer, change, made=after > change.started_from)
        assert _whole_state(database_url) == change.started_from + 1

    assert outcomes.total() == KILLS
    assert min(outcomes["made"], outcomes["not made"]) > 0


def _spread(points: list[str], count: int) -> list[str]:
    """So many points: all of them in turn, or, when they are too many, spread over the first to the last."""
    if count >= len(points):
        return [points[at % len(points)] for at in range(count)]
    first = points[: -len(ENDS)]
    chosen = [first[at * (len(first) - 1) // max(count - len(ENDS) - 1, 1)] for at in range(count - len(ENDS))]
    return [*chosen, *ENDS]


def _check_retry(answer: httpx.Response, change: Change, *, made: bool) -> None:
    """What was not made is made now; of what had been made, a PUT says so and steps back are not made twice."""
    if made and change.number % 3 == 2:
        assert answer.status_code == 409
        assert answer.json()["current_revision"] == change.started_from + 1
    else:
        said = answer.raise_for_status().json()
        assert (said["changed"], said["revision"]) == (not made, change.started_from + 1)


def _whole_state(url: str) -> int:
    """The tenant's revision, once everything that tells of it says the same."""
    found: dict[str, Any] = {
        name: by_hand(url, statement)[0][0]
        for name, statement in {
            "tenant": "select revision from tenants",
            "ledger": "select max(revision) from tenant_revisions",
            "ledger rows": "select count(*) from tenant_revisions",
            "audit": "select count(*) from audit_log where entity_type = 'config'",
            "audited": "select max(revision) from audit_log where entity_type = 'config'",
            "pointer": "select revision from tenant_configs_current",
        }.items()
    }
    assert len(set(found.values())) == 1, f"a torn state: {found}"
    agreed = by_hand(
        url,
        "select count(*) from tenant_configs_current c join tenant_config_versions v on v.id = c.config_version_id "
        "join tenant_revisions r on r.tenant_id = c.tenant_id and r.revision = c.revision "
        "and r.config_version = v.etag join audit_log a on a.revision = c.revision and a.after_state = v.config",
    )
    assert agreed == [(1,)], "pointer, ledger and audit log tell of different versions"
    return int(found["tenant"])
