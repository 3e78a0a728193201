"""Nothing acknowledged is lost: workers are killed again and again while clients send events."""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import SqliteTemplate
from tests.support.server import DEV, Server, serve

KILLS = 10
"""For each of the two modes."""
CLIENTS = 4


class Sender(threading.Thread):
    """Sends batches until told to stop; one that was not answered is sent again, as a client should."""

    def __init__(self, number: int, url: str, stop: threading.Event) -> None:
        super().__init__(name=f"sender-{number}", daemon=True)
        self.acknowledged: list[str] = []
        self.sent_in_vain: set[str] = set()
        self._number = number
        # A connection per request, so that it meets whichever worker there is.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(base_url=url, headers=DEV, timeout=30, trust_env=False, limits=limits)
        self._stop_asked = stop
        self._random = random.Random(number)

    def run(self) -> None:
        for batch in range(1_000_000):
            if self._stop_asked.is_set():
                self._client.close()
                return
            ids = [f"{self._number}-{batch}-{n}" for n in range(self._random.randint(1, 20))]
            while not self._send(ids):
                self.sent_in_vain |= set(ids)
                time.sleep(0.02)
            self.acknowledged += ids

    def _send(self, ids: list[str]) -> bool:
        try:
            verdicts = send(self._client, ids)
        except httpx.HTTPError:
            return False
        assert verdicts["rejected"] == 0, verdicts
        return True


def send(client: httpx.Client, ids: list[str]) -> dict[str, int]:
    records = [
        {"event_id": each, "type": "view", "surface": "home", "item_id": "i1", "user": {"user_id": "u"}} for each in ids
    ]
    verdicts: dict[str, int] = client.post("/v1/events", json={"events": records}).raise_for_status().json()
    return verdicts


def kill_again_and_again(server: Server, senders: list[Sender]) -> None:
    """Kill the worker that has lived longest, so one that serves, as soon as there is progress after the last kill."""
    dice = random.Random(7)
    killed: set[int] = set()
    deadline = time.monotonic() + 120
    while len(killed) < KILLS:
        before = progress(senders)
        while progress(senders) < before + 100:
            assert time.monotonic() < deadline, "workers do not come back"
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.05))
        victim = min(pid for pid in server.workers() if pid not in killed)
        killed.add(victim)
        os.kill(victim, signal.SIGKILL)


def progress(senders: list[Sender]) -> int:
    return sum(len(sender.acknowledged) for sender in senders)


def logged(directory: Path) -> Counter[str]:
    """How often each event stands in the log; a line may be torn at the end of a file, nowhere else."""
    found: Counter[str] = Counter()
    for path in directory.glob("recsys-logs/events/*/*/*.jsonl"):
        *whole, _torn = path.read_bytes().split(b"\n")
        found.update(json.loads(line)["event_id"] for line in whole)
    return found


@pytest.mark.parametrize("fsync", [False, True], ids=["without fsync", "with fsync"])
def test_what_was_acknowledged_is_in_the_log_whoever_was_killed(
    sqlite_template: SqliteTemplate, tmp_path: Path, fsync: bool
) -> None:
    database = sqlite_template.fresh()
    stop = threading.Event()
    with serve(database, tmp_path, workers=2, log_fsync=fsync) as server, server.client() as client:
        client.post("/v1/admin/tenants", json={"external_id": "demo"}).raise_for_status()
        senders = [Sender(number, server.url, stop) for number in range(CLIENTS)]
        for sender in senders:
            sender.start()
        kill_again_and_again(server, senders)
        time.sleep(1)
        stop.set()
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive()
        for pid in (server.process.pid, *server.workers()):
            os.kill(pid, signal.SIGKILL)
        server.process.wait()

    acknowledged = [each for sender in senders for each in sender.acknowledged]
    in_vain = set[str]().union(*(sender.sent_in_vain for sender in senders))
    found = logged(tmp_path)
    assert len(acknowledged) >= 100 * KILLS
    assert in_vain, "no kill met a batch on its way"
    assert [each for each in acknowledged if not found[each]] == [], "acknowledged and lost"
    assert {each for each, count in found.items() if count > 1} <= in_vain, "twice without having been sent twice"

    with serve(database, tmp_path, workers=2, log_fsync=fsync) as server, server.client() as client:
        for start in range(0, len(acknowledged), 1_000):
            again = acknowledged[start : start + 1_000]
            assert send(client, again)["duplicates"] == len(again), "a restart forgot what it had accepted"
    assert logged(tmp_path) == found


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "without its supervisor"])
def test_a_service_that_ends_writes_the_exposures_that_wait(
    sqlite_template: SqliteTemplate, tmp_path: Path, sent: signal.Signals
) -> None:
    with serve(sqlite_template.fresh(), tmp_path, workers=2) as server, server.client() as client:
        set_up(client)
        ids = {f"shown-{number}" for number in range(100)}
        for each in ids:
            client.post("/v1/recommend", json=RECOMMEND, headers={"X-Request-Id": each}).raise_for_status()
        server.process.send_signal(sent)
        server.process.wait()
        deadline = time.monotonic() + 20
        while ids - set(exposed(tmp_path)):
            assert time.monotonic() < deadline, "exposures are missing"
            time.sleep(0.1)
    assert max(Counter(exposed(tmp_path)).values()) == 1


def exposed(directory: Path) -> list[str]:
    """The requests whose answers stand in the log, but for those of the set-up."""
    found = []
    for path in directory.glob("recsys-logs/exposures/*/*/*.jsonl"):
        *whole, _torn = path.read_bytes().split(b"\n")
        found += [json.loads(line)["meta"]["request_id"] for line in whole]
    return [each for each in found if each.startswith("shown-")]
