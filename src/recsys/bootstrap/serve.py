"""Running the service: uvicorn with uvloop and httptools, as many workers as asked for."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.bootstrap.settings import Settings

FACTORY = "recsys.bootstrap.wiring:create_app"


def serve(settings: Settings) -> None:
    """Serve until told to stop. Workers find their settings in the environment.

    Raises:
        SettingsError: settings that do not go together.
    """
    settings.check()
    # Once it has shut down, uvicorn raises the signal again for whoever handled it before. By default that would end
    # the process on the spot, and the run's directory would stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _run_directory(settings) as running:
        os.environ.update(running.to_environment())
        uvicorn.run(
            FACTORY,
            factory=True,
            host=running.host,
            port=running.port,
            workers=running.workers,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            server_header=False,
            date_header=False,
            log_level=running.log_level,
            backlog=running.backlog,
            timeout_keep_alive=running.keep_alive_s,
            timeout_graceful_shutdown=running.shutdown_s,
            forwarded_allow_ips=running.trusted_proxies,
        )


@contextmanager
def _run_directory(settings: Settings) -> Iterator[Settings]:
    """Settings with a directory that the workers of this run, and no other, share their metrics in."""
    parent = settings.run_dir
    if parent is not None:
        os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - a plain string all the way
    with tempfile.TemporaryDirectory(prefix="recsys-run-", dir=parent) as directory:
        yield msgspec.structs.replace(settings, run_dir=directory)
