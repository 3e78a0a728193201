"""The quick tour of the README, typed as it stands there, against a service with the demo's price tags."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import set_up
from tests.support.databases import SqliteTemplate
from tests.support.server import serve

ROOT = Path(__file__).resolve().parents[2]
BANDS = ("price:under-2", "price:2-5", "price:5-10", "price:over-10")


@pytest.fixture
def tour() -> str:
    """The commands of the tour's code block."""
    section = (ROOT / "README.md").read_text().split("## A tenant breaks")[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_quick_tour_runs_as_it_is_written(tour: str, sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    with serve(sqlite_template.fresh(), tmp_path) as server, server.client() as client:
        set_up(client)
        tag_by_price(client)
        script = tour.replace("http://127.0.0.1:8080", server.url).replace(".venv/bin/recsys", "recsys")
        environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-O", "expand_aliases", "-c", script],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=environ,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    lists = re.findall(r"^(?:rank .*|The list is empty\.)$", done.stdout, re.MULTILINE)
    assert [line.startswith("rank") for line in lists] == [True, False, True]
    assert "85123A: blocked  Blocked by #1." in done.stdout
    assert "spring clean" in done.stdout
    assert "home page empty" in done.stdout
    assert "MOSTLY_BLOCKED" in done.stdout


def tag_by_price(client: httpx.Client) -> None:
    rows = [f'{{"item_id": "i{n}", "tags": ["{BANDS[n % 4]}"]}}' for n in range(20)]
    rows.append(f'{{"item_id": "85123A", "tags": ["{BANDS[1]}"]}}')  # the demo's bestseller
    client.put(
        "/v1/admin/tenants/demo/items?surface=home",
        content="\n".join(rows),
        headers={"Content-Type": "application/x-ndjson"},
    ).raise_for_status()
