"""Where the objects meet: settings in, a service out."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.bootstrap.settings import Settings, from_process
from recsys.domain.subject import SubjectKeys
from recsys.ranking.warm_up import warm_up
from recsys.service.app import build_app
from recsys.service.authentication import Authenticator
from recsys.service.metrics import Metrics
from recsys.service.state import Limits, Service
from recsys.serving.replica import Replica
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database, open_database
from recsys.storage.event_log import FileEventLog
from recsys.storage.log_writer import LogSettings
from recsys.storage.serving_store import SqlServingStore
from recsys.storage.signal_files import MappedSignalFiles

if TYPE_CHECKING:
    from recsys.domain.access import Principal
    from recsys.service.switch import Switch


LOG_DIRECTORY = "recsys-logs"


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
    replica = Replica(
        SqlServingStore(database), clock, metrics, poll_ms=settings.poll_ms, signal_files=_signal_files(settings)
    )
    subjects = SubjectKeys(settings.subject_salt.encode() if settings.subject_salt else None)
    return Service(
        store=SqlControlStore(database, clock),
        replica=replica,
        clock=clock,
        metrics=metrics,
        authenticator=Authenticator(replica, dev_headers=settings.dev_auth, fixed=fixed_principal),
        limits=Limits(
            body_bytes=settings.max_body_bytes,
            load_bytes=settings.max_load_bytes,
            spool_bytes=settings.spool_bytes,
        ),
        log=FileEventLog(_log_settings(settings, database), subjects, clock, metrics),
        subjects=subjects,
        close=database.close,
    )


def _signal_files(settings: Settings) -> MappedSignalFiles | None:
    """Where workers share signals: a directory that stays, else one that goes with the run, else nowhere."""
    run = Path(settings.run_dir) if settings.run_dir else None
    directory = Path(settings.cache_dir) if settings.cache_dir else run and run / "signals"
    return MappedSignalFiles(directory, run and run / "verified") if directory else None


def _log_settings(settings: Settings, database: Database) -> LogSettings:
    beside = database.file.parent if database.file else Path()
    return LogSettings(
        directory=Path(settings.log_dir) if settings.log_dir else beside / LOG_DIRECTORY,
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
