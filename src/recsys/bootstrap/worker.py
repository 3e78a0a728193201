"""A worker process as its supervisor sees it: started, heard from, told to end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING

from uvicorn.supervisors.multiprocess import Process

from recsys.bootstrap.drain import DrainingServer

if TYPE_CHECKING:
    import socket

    import uvicorn

_ASK_EVERY_S = 0.5


class Worker(Process):
    """A process that serves on shared sockets until SIGTERM, and ends with its supervisor, even when that is killed.

    Else orphans would keep the port. SIGHUP, which a terminal or a service manager may send to all at once, is the
    supervisor's business.

    ``waits``: listens only when ready, because others serve meanwhile.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], *, drain_s: float, waits: bool) -> None:
        super().__init__(config, sockets)
        self.silent_s = 0.0
        """Seconds since the last sign of life."""
        self._drain_s = drain_s
        self._waits = waits
        self._ticks = 0
        self._asked = False
        self._draining: DrainingServer | None = None

    @property
    def ready(self) -> bool:
        """Whether it has told that it serves."""
        return self._ticks > 0

    def hear(self, passed_s: float) -> None:
        """Take its answer, if there is one, and ask again; so many seconds have passed since the last time."""
        self.silent_s += passed_s
        with contextlib.suppress(OSError, EOFError):  # it has ended, which the process tells better
            if self.parent_conn.poll():
                ticks: int = self.parent_conn.recv()
                self._asked = False
                if ticks != self._ticks or not ticks:  # a server whose event loop stands still gives no sign of life
                    self.silent_s = 0.0
                self._ticks = ticks
            if not self._asked and (not self.ready or self.silent_s >= _ASK_EVERY_S):
                self.parent_conn.send(b"?")
                self._asked = True

    # In the worker's process:

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        threading.Thread(target=_end_with_supervisor, name="leash", daemon=True).start()
        self._server = self._draining = DrainingServer(self.config, drain_s=self._drain_s, waits=self._waits)
        super().target(sockets)

    def pong(self) -> None:
        """Answer the supervisor with the turns of the event loop; 0 while not listening."""
        self.child_conn.recv()
        self.child_conn.send(self._draining.ticks if self._draining else 0)


def _end_with_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)
