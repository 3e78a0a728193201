"""A killed supervisor leaves no worker behind that would keep the port."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.support.databases import SqliteTemplate
from tests.support.server import serve


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
def test_workers_end_with_their_supervisor_even_when_it_is_killed(
    sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    with serve(sqlite_template.fresh(), tmp_path, workers=2) as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        port = int(server.url.rsplit(":", 1)[1])
        deadline = time.monotonic() + 20
        while listens(port):
            assert time.monotonic() < deadline, "an orphan keeps the port"
            time.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
