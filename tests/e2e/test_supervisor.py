"""A killed supervisor, or a closed terminal, leaves no worker behind that would keep the port."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.support.databases import SqliteTemplate
from tests.support.server import Server, serve


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_end_with_their_supervisor_even_when_it_is_killed(
    sqlite_template: SqliteTemplate, tmp_path: Path, workers: int
) -> None:
    with serve(sqlite_template.fresh(), tmp_path, workers=workers) as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        wait_until_free(server)


@pytest.mark.parametrize(("prefix", "survives"), [([], False), (["nohup"], True)], ids=["plain", "nohup"])
def test_a_service_ends_with_its_terminal_but_not_under_nohup(
    sqlite_template: SqliteTemplate, tmp_path: Path, prefix: list[str], survives: bool
) -> None:
    terminal, inside = os.openpty()
    session = [sys.executable, "-c", IN_A_SESSION, *prefix]
    with serve(sqlite_template.fresh(), tmp_path, through=session, stdin=inside) as server:
        os.close(inside)
        os.close(terminal)
        if survives:
            time.sleep(2)
            assert listens(port_of(server))
        else:
            wait_until_free(server)


IN_A_SESSION = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup, which is inherited
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def wait_until_free(server: Server) -> None:
    deadline = time.monotonic() + 20
    while listens(port_of(server)):
        assert time.monotonic() < deadline, "an orphan keeps the port"
        time.sleep(0.1)


def port_of(server: Server) -> int:
    return int(server.url.rsplit(":", 1)[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
