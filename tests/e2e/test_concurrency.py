"""Many writers at once, over HTTP, against two workers: one winner each time, and the operator always gets through."""

import asyncio
import collections
import itertools
import threading
import time
from collections import Counter
from typing import Any

import httpx

from tests.support.server import DEV, Server
from tests.support.shell import by_hand

ADMIN = "/v1/admin/tenants/demo"
WRITERS, ROUNDS = 64, 50
FIRST_WRITERS, FIRST_ROUNDS = 32, 10
FEWEST_MOVES = 30


async def put_all(
    clients: list[httpx.AsyncClient], url: str, bodies: list[Any], headers: dict[str, str]
) -> list[httpx.Response]:
    """Send every body at the same time, spread over the clients (and so over connections and workers)."""
    pairs = zip(itertools.cycle(clients), bodies, strict=False)
    return await asyncio.gather(*(client.put(url, json=body, headers=headers) for client, body in pairs))


def clients_of(server: Server) -> list[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=8)
    return [httpx.AsyncClient(base_url=server.url, headers=DEV, timeout=60, limits=limits) for _ in range(8)]


def audit_entries(client: httpx.Client, action: str) -> int:
    """How many entries an action has in the whole log, page by page."""
    found, page = 0, ""
    while True:
        answer: dict[str, Any] = client.get(f"{ADMIN}/audit?limit=200{page}").json()
        found += [entry["action"] for entry in answer["entries"]].count(action)
        if answer["next_before_id"] is None:
            return found
        before = str(answer["next_before"]).replace("+", "%2B")
        page = f"&before={before}&before_id={answer['next_before_id']}"


def test_of_64_concurrent_puts_with_one_if_match_one_wins_fifty_times(server: Server, client: httpx.Client) -> None:
    before = audit_entries(client, "config.update")

    async def race() -> None:
        clients = clients_of(server)
        for number in range(ROUNDS):
            current = (await clients[0].get(f"{ADMIN}/config")).json()["config_version"]
            bodies = [{"weights": {"pop": 1 + number, "cooc": writer}} for writer in range(WRITERS)]
            answers = await put_all(clients, f"{ADMIN}/config", bodies, {"If-Match": current})
            assert Counter(answer.status_code for answer in answers) == {200: 1, 409: WRITERS - 1}
            winner = next(answer.json() for answer in answers if answer.status_code == 200)
            assert winner["changed"]
            for answer in answers:
                if answer.status_code == 409:
                    assert answer.json()["code"] == "RECSYS_VERSION_MISMATCH"
                    assert answer.json()["current_version"] == winner["config_version"]
        for each in clients:
            await each.aclose()

    asyncio.run(race())

    assert audit_entries(client, "config.update") - before == ROUNDS
    entries = client.get(f"{ADMIN}/history?limit=100").json()["entries"]
    revisions = [entry["revision"] for entry in entries]
    assert revisions == list(range(revisions[0], revisions[0] - len(revisions), -1))


def test_of_32_concurrent_first_puts_one_wins_each_time(server: Server, client: httpx.Client) -> None:
    async def race() -> None:
        clients = clients_of(server)
        for number in range(FIRST_ROUNDS):
            tenant = f"/v1/admin/tenants/new-{number}"
            created = await clients[0].post("/v1/admin/tenants", json={"external_id": f"new-{number}"})
            created.raise_for_status()
            bodies = [{"weights": {"pop": 1 + writer}} for writer in range(FIRST_WRITERS)]
            answers = await put_all(clients, f"{tenant}/config", bodies, {"If-None-Match": "*", **DEV_ALL})
            assert Counter(answer.status_code for answer in answers) == {200: 1, 412: FIRST_WRITERS - 1}
            history = (await clients[0].get(f"{tenant}/history", headers=DEV_ALL)).json()["entries"]
            assert [entry["revision"] for entry in history] == [1]
        for each in clients:
            await each.aclose()

    asyncio.run(race())


DEV_ALL = {"X-Dev-User-Id": "ann"}
"""Bound to no tenant."""


ALTERNATIVES: dict[str, list[Any]] = {
    "config": [{"weights": {"pop": 1, "emb": 7}}, {"weights": {"pop": 1, "emb": 8}}],
    "rules": [[], {"rules": []}],
}


def both_pointers(tenant_id: str, versions: dict[str, list[str]], number: int) -> list[str]:
    """The statements of one operator's transaction, which moves config and rules."""
    return [
        f"update tenant_{table}_current set {column} = (select id from tenant_{kind}_versions where etag = "
        f"'{versions[document][number % 2]}' and tenant_id = '{tenant_id}'), "
        f"updated_by_sub = 'op-{number}', updated_at = now() where tenant_id = '{tenant_id}'"
        for document, table, kind, column in (
            ("config", "configs", "config", "config_version_id"),
            ("rules", "rules", "rule", "rules_version_id"),
        )
    ]


def test_break_glass_gets_through_while_the_service_writes_at_full_speed(
    server: Server, client: httpx.Client, database_url: str
) -> None:
    """An operator moves both pointers in one transaction, again and again; each move is audited once, none is lost."""
    tenant_id = client.get(ADMIN).json()["id"]
    versions = {
        document: [client.put(f"{ADMIN}/{document}", json=body).json()[f"{document}_version"] for body in bodies]
        for document, bodies in ALTERNATIVES.items()
    }
    stop = threading.Event()
    statuses: Counter[int] = collections.Counter()

    def write_on(document: str) -> None:
        with server.client() as writer:
            for number in itertools.count():
                if stop.is_set():
                    return
                boost = {"action": "boost", "target_type": "tag", "target_key": "t", "boost_value": number % 1000}
                body: Any = {"weights": {"pop": number}} if document == "config" else [boost]
                statuses[writer.put(f"{ADMIN}/{document}", json=body).status_code] += 1

    threads = [threading.Thread(target=write_on, args=[document]) for document in ("config", "rules") * 4]
    for thread in threads:
        thread.start()
    moves, slowest_s, deadline = 0, 0.0, time.monotonic() + 60
    while moves < FEWEST_MOVES or statuses[200] < 2 * FEWEST_MOVES:
        assert time.monotonic() < deadline, f"the service was meant to be busy: {statuses}"
        number, moves = moves, moves + 1
        began = time.monotonic()
        by_hand(database_url, *both_pointers(tenant_id, versions, number))
        slowest_s = max(slowest_s, time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()

    rows = by_hand(
        database_url,
        "select actor_sub, entity_type, count(*) from audit_log where actor_type = 'break-glass' "
        "group by actor_sub, entity_type",
    )
    assert {(row[0], row[1]): row[2] for row in rows} == {
        (f"op-{number}", document): 1 for number in range(moves) for document in ("config", "rules")
    }
    assert set(statuses) <= {200, 503}
    ledger, top = by_hand(
        database_url,
        f"select count(*), max(revision) from tenant_revisions where tenant_id = '{tenant_id}'",
    )[0]
    assert ledger == top == client.get(ADMIN).json()["revision"]
    assert slowest_s < 10
