"""Many people go back at once, each to another place, from the same state: one of them does."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.support.compare_and_set import EVERYWHERE, create_tenants
from tests.support.databases import PostgresTemplate
from tests.support.effort import effort
from tests.support.server import serve
from tests.support.shell import by_hand

TARGETS = 50
ROUNDS = effort(4, 100)
CONFIG = "/v1/admin/tenants/t0/config"


def test_of_50_rollbacks_with_one_if_match_one_is_made(postgres_template: PostgresTemplate, tmp_path: Path) -> None:
    url = postgres_template.fresh()
    with serve(url, tmp_path, workers=2) as server:
        create_tenants(server.url, ["t0"])
        asyncio.run(_race(server.url))

    entries = by_hand(url, "select count(*) from tenant_revisions where action = 'config.rollback'")
    audited = by_hand(url, "select count(*) from audit_log where action = 'config.rollback'")
    assert entries == audited == [(ROUNDS,)]


async def _race(url: str) -> None:
    limits = httpx.Limits(max_connections=16)
    async with httpx.AsyncClient(
        base_url=url, headers=EVERYWHERE, timeout=60, trust_env=False, limits=limits
    ) as client:
        versions = [
            (await client.put(CONFIG, json={"weights": {"pop": 1 + n}})).json()["config_version"]
            for n in range(TARGETS)
        ]
        for _ in range(ROUNDS):
            current = (await client.get(CONFIG)).json()
            targets = [each for each in versions if each != current["config_version"]]
            answers = await asyncio.gather(*(_go_back(client, target, current) for target in targets))
            assert Counter(answer.status_code for answer in answers) == {200: 1, 409: len(targets) - 1}
            winner = next(answer.json() for answer in answers if answer.status_code == 200)
            assert winner["revision"] == current["revision"] + 1
            for answer in answers:
                _check_refusal(answer, winner)


async def _go_back(client: httpx.AsyncClient, target: str, current: dict[str, Any]) -> httpx.Response:
    headers = {"If-Match": f'"{current["config_version"]}"'}
    return await client.post(f"{CONFIG}/rollback", json={"to": target, "reason": "race"}, headers=headers)


def _check_refusal(answer: httpx.Response, winner: dict[str, Any]) -> None:
    """A 409 says what stands there now, and nothing of the database's own words."""
    if answer.status_code != 409:
        return
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "RECSYS_VERSION_MISMATCH"
    assert problem["current_version"] == winner["config_version"]
    assert problem["current_revision"] == winner["revision"]
    assert not {"sqlalchemy", "asyncpg", "psycopg"} & set(answer.text.lower().split())
