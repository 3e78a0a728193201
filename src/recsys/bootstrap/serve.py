"""Running the service: uvicorn with uvloop and httptools, as many workers as asked for, under a supervisor."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import uvicorn

from recsys.bootstrap.supervisor import StartFailed, Supervisor
from recsys.ranking.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.bootstrap.settings import Settings

FACTORY = "recsys.bootstrap.wiring:create_app"
HOT_PROTOCOL = "recsys.service.hot_protocol:HotProtocol"
TESTED_WITH = ("0.54.",)
"""The versions of uvicorn whose inside the hot protocol is known to build on."""

_log = logging.getLogger(__name__)
_SLOW_COMPILATION_S = 5.0


def serve(settings: Settings) -> None:
    """Serve until told to stop. Workers find their settings in the environment.

    Raises:
        SettingsError: settings that do not go together.
    """
    settings.check()
    _compile()
    # Until the supervisor takes the signal over, it would end the process on the spot, and leave the run's directory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _run_directory(settings) as running:
        os.environ.update(running.to_environment())
        _run(running)


def _compile() -> None:
    """Compile before there are workers, which would each do it: they load what is kept."""
    began = monotonic()
    warm_up()
    if (passed := monotonic() - began) > _SLOW_COMPILATION_S:
        _log.warning("compiled the ranking in %.0f s; the next start loads it", passed)


def _run(settings: Settings) -> None:
    config = server_config(settings)
    try:
        with config.bind_socket() as listening:
            Supervisor(config, [listening], settings).run()
    except StartFailed:
        raise SystemExit(1) from None
    except SystemExit as ended:
        # Uvicorn has codes of its own for what failed; it has logged what that was.
        raise SystemExit(1 if ended.code else 0) from None


def server_config(settings: Settings) -> uvicorn.Config:
    """What uvicorn is told, in every worker."""
    return uvicorn.Config(
        FACTORY,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=http_protocol() if settings.fast_http else "httptools",
        ws="none",
        interface="asgi3",  # the switch hands over what its handlers return, which uvicorn takes for ASGI 2
        lifespan="on",
        access_log=False,
        server_header=False,
        date_header=False,
        log_level=settings.log_level,
        backlog=settings.backlog,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_s - settings.draining_s,
        forwarded_allow_ips=settings.trusted_proxies,
    )


def http_protocol(version: str = uvicorn.__version__) -> str:
    """The protocol to speak, by a name that a worker imports once it has given a sign of life."""
    if version.startswith(TESTED_WITH):
        return HOT_PROTOCOL
    _log.warning("uvicorn %s is not one that RECSYS_FAST_HTTP is tested with; its own protocol serves", version)
    return "httptools"


def port_fault(host: str, port: int) -> str | None:
    """Why nobody can listen there, in a sentence; None when it is free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given back is free
            probe.bind(address)
    except OSError as error:
        return f"Port {port} cannot be used on {host}: {error.strerror}."
    return None


@contextmanager
def _run_directory(settings: Settings) -> Iterator[Settings]:
    """Settings with a directory that the workers of this run, and no other, share their metrics in."""
    parent = settings.run_dir
    if parent is not None:
        os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - a plain string all the way
    with tempfile.TemporaryDirectory(prefix="recsys-run-", dir=parent) as directory:
        yield msgspec.structs.replace(settings, run_dir=directory)
