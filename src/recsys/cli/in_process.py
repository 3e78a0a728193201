"""The app in this process, on a database: what ``--db`` talks to, in the name of the person at the keyboard."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from recsys.bootstrap.settings import Settings, SettingsError, variable
from recsys.bootstrap.wiring import build_service
from recsys.cli.database import database_errors, require_file, require_schema
from recsys.cli.failure import Misused
from recsys.cli.hints import IN_PROCESS
from recsys.cli.person import os_user
from recsys.domain.access import Principal, Role
from recsys.service.app import build_app
from recsys.serving.directory import Directory
from recsys.serving.health import Health
from recsys.serving.replica import Replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


_WHO_IS_WHO = ("log_dir", "subject_salt")
"""The settings by which a user is the same here as in the service."""

_ARTIFACTS = ("artifacts", "artifact_max_bytes", "cache_dir")
"""The settings by which an artifact is the same here as in the service."""


@asynccontextmanager
async def in_process_client(db: str, *, serving: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose requests are answered here. Only with ``serving`` are the signals loaded, to recommend from.

    Raises:
        Failure: the database is not there, cannot be reached, or lacks a migration.
    """
    require_file(db)
    with database_errors(db):
        await require_schema(db)
        service = build_service(_settings(db), _person())
        if not serving:
            service = replace(service, replica=NoReplica())
        async with service.running():
            transport = httpx.ASGITransport(app=build_app(service))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{IN_PROCESS}") as client:
                yield client


class NoReplica(Replica):
    """Serves nothing and loads nothing: this process ends with the command, and signals may take long to load.

    Without a catalogue in memory there is no lint either; a running service has it.
    """

    def __init__(self) -> None:
        self.directory = Directory()
        self.synced = False

    def snapshot(self, tenant_id: str) -> None:
        return None

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def catch_up(self, tenant_id: str | None = None, *, loads: bool = True) -> None:
        """Nothing to catch up with: the replicas that serve learn of a change by their own poll."""

    async def follow(self, tenant_id: str, revision: int) -> None:
        """Nothing to serve it with."""

    async def invalidate(self, tenant_id: str, targets: Sequence[str], surface: str | None) -> dict[str, int]:
        return dict.fromkeys(targets, 0)

    def health(self) -> Health:
        """Nothing is served here, so nothing is stale or incompatible."""
        return Health(
            id=None,
            listening=None,
            ready=False,
            stale=False,
            poll_age_seconds=None,
            copy_age_seconds=None,
            tenants={},
        )


def _settings(db: str) -> Settings:
    """What someone at the keyboard looks at was shown to nobody: no exposures."""
    environ = {name: os.environ[name] for name in map(variable, (*_WHO_IS_WHO, *_ARTIFACTS)) if name in os.environ}
    try:
        return Settings.from_environment(environ, db=db, exposure_format="off")
    except SettingsError as error:
        raise Misused(str(error), "All settings are in docs/settings.md") from None


def _person() -> Principal:
    return Principal(sub=os_user(), actor_type="cli", roles=frozenset(Role))
