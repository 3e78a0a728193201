"""Where the objects meet: settings in, a service out."""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recsys import __version__
from recsys.bootstrap.blobs import CACHE_DIRECTORY, open_blobs
from recsys.bootstrap.settings import Settings, from_process
from recsys.domain.replica import ReplicaIdentity
from recsys.domain.subject import SubjectKeys
from recsys.ranking.warm_up import warm_up
from recsys.service.app import build_app
from recsys.service.authentication import Authenticator
from recsys.service.metrics import Metrics
from recsys.service.state import Limits, Service
from recsys.serving.presence import Presence
from recsys.serving.remembering_store import RememberingServingStore
from recsys.serving.replica import Replica
from recsys.storage.change_feed import PostgresChangeFeed
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database, open_database
from recsys.storage.event_log import FileEventLog
from recsys.storage.last_good import LastGoodFile
from recsys.storage.log_writer import LogSettings
from recsys.storage.replica_claims import LockedClaims
from recsys.storage.replica_registry import SqlReplicaRegistry
from recsys.storage.serving_store import SqlServingStore
from recsys.storage.signal_files import MappedSignalFiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recsys.domain.access import Principal
    from recsys.domain.ports import Clock, ReplicaRegistry, ServingStore
    from recsys.service.switch import Switch


LOG_DIRECTORY = "recsys-logs"
LONGEST_JITTER_S = 0.1
"""A small part of what reading large signals takes, and enough for hosts not to ask for them at the same moment."""


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """The time now."""
        return datetime.now(UTC)


def build_service(settings: Settings, fixed_principal: Principal | None = None) -> Service:
    """Everything that answers requests, not yet started. Nothing is connected before it is used.

    ``fixed_principal`` is who every request comes from, for the command line that works on the database directly.
    """
    settings.check()
    clock = SystemClock()
    database = open_database(settings.db)
    metrics = Metrics(Path(settings.run_dir) if settings.run_dir else None)
    store, files, close = _serving_store(settings, database, clock, metrics)
    blobs = open_blobs(settings, beside(database))
    registry = SqlReplicaRegistry(database)
    replica = Replica(
        store,
        clock,
        metrics,
        poll_ms=settings.poll_ms,
        signal_files=files,
        blobs=blobs,
        feed=PostgresChangeFeed(database, metrics) if database.is_postgresql else None,
        # Whoever works on the database for the length of a command serves nobody, and is not to be waited for.
        presence=None if fixed_principal else _presence(settings, registry, metrics),
        jitter_s=lambda: random.uniform(0.0, LONGEST_JITTER_S),  # noqa: S311 - no secret
    )
    subjects = SubjectKeys(settings.subject_salt.encode() if settings.subject_salt else None)
    return Service(
        store=SqlControlStore(database, clock),
        replica=replica,
        registry=registry,
        clock=clock,
        metrics=metrics,
        authenticator=Authenticator(replica, dev_headers=settings.dev_auth, fixed=fixed_principal),
        limits=Limits(
            body_bytes=settings.max_body_bytes,
            load_bytes=settings.max_load_bytes,
            spool_bytes=settings.spool_bytes,
        ),
        log=FileEventLog(_log_settings(settings, database), subjects, clock, metrics),
        blobs=blobs,
        subjects=subjects,
        close=close,
    )


def cache_directory(settings: Settings, database: Database) -> Path | None:
    """Where a host keeps what belongs to this database; None: nowhere, since it is in memory.

    Several databases may share a cache, and nothing of one is ever taken for another's.
    """
    cache = Path(settings.cache_dir) if settings.cache_dir else beside(database) / CACHE_DIRECTORY
    return cache / database.name_hash if database.name_hash else None


def has_last_good(settings: Settings) -> bool:
    """Whether the service could start without this database, from what the host kept of it."""
    database = open_database(settings.db)
    directory = cache_directory(settings, database)
    return directory is not None and LastGoodFile(directory, directory.name).exists


def _serving_store(
    settings: Settings, database: Database, clock: Clock, metrics: Metrics
) -> tuple[ServingStore, MappedSignalFiles | None, Callable[[], Awaitable[None]]]:
    """What replicas read, the signals that they share on this host, and how to give both back."""
    store, directory = SqlServingStore(database), cache_directory(settings, database)
    if directory is None or not (settings.cache_dir or settings.run_dir):
        return store, None, database.close  # a process of its own, no run of the service: it leaves nothing behind
    files = MappedSignalFiles(directory, Path(settings.run_dir) / "verified" if settings.run_dir else None)
    remembering = RememberingServingStore(store, LastGoodFile(directory, directory.name), files, clock, metrics)

    async def close() -> None:
        await remembering.close()
        await database.close()

    return remembering, files, close


def beside(database: Database) -> Path:
    """Where the service's own files go unless a setting says otherwise."""
    return database.file.parent if database.file else Path()


def log_directory(settings: Settings, database: Database) -> Path:
    """Where exposures, events and the salt of subjects are."""
    return Path(settings.log_dir) if settings.log_dir else beside(database) / LOG_DIRECTORY


def _presence(settings: Settings, registry: ReplicaRegistry, metrics: Metrics) -> Presence:
    """How this process makes itself known, under an id that it has from now on."""
    identity = ReplicaIdentity(
        id=str(uuid.uuid4()), host=socket.gethostname(), pid=os.getpid(), code_version=__version__
    )
    claims = LockedClaims(Path(settings.run_dir) / "replicas") if settings.run_dir else None
    return Presence(identity, registry, metrics, claims)


def _log_settings(settings: Settings, database: Database) -> LogSettings:
    return LogSettings(
        directory=log_directory(settings, database),
        exposures=settings.exposure_format,
        queue_records=settings.log_queue,
        file_bytes=settings.log_file_bytes,
        retention_days=settings.log_retention_days,
        fsync=settings.log_fsync,
    )


def create_app() -> Switch:
    """The application of a worker process, from its environment; what is compiled is compiled."""
    warm_up()
    app = build_app(build_service(from_process()))
    _prefer_requests()
    return app


def _prefer_requests() -> None:
    """Give the interpreter to who wants it sooner, and let the cycle collector look less often at what comes.

    A request waits until a thread that reads signals gives the interpreter back, 5 ms by default. It leaves no cycles
    behind, and what the collector walks through by default, again and again, is everything there is.
    """
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
