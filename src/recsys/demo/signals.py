"""The demo's signals: real events through the pipelines into artifacts, which a manifest ships.

The way is that of ``recsys pipelines run``, and so are the places: whatever stands beside the demo's database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from recsys.bootstrap.pipelines import pipeline_parts, served_manifest
from recsys.bootstrap.settings import Settings
from recsys.demo.place import TENANT, DemoFailed
from recsys.domain.access import Actor
from recsys.domain.errors import RecsysError, VersionQuarantined
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.publish import publish_release
from recsys.pipelines.run import Pipeline, Wish
from recsys.pipelines.run_all import run_all
from recsys.pipelines.settings import read_settings
from recsys.pipelines.window import Window
from recsys.storage.source_folder import SourceFolder

if TYPE_CHECKING:
    from recsys.bootstrap.pipelines import PipelineParts
    from recsys.demo.place import Place
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.tenant import Tenant
    from recsys.pipelines.compute import Made, Progress
    from recsys.pipelines.publish import Published, Release

YEAR: Final = Window(date(2010, 12, 1), date(2011, 12, 9))
"""All days of the invoices."""
WRONG_DECEMBER: Final = Window(date(2010, 12, 1), date(2010, 12, 9))
"""The last nine days were meant, but they are those of a year ago. They were as busy, so every gate lets them pass."""
KINDS: Final[tuple[ArtifactKind, ...]] = ("popularity", "cooc", "implicit", "content_sim", "history", "catalog")
"""What pays on invoices. They list articles by number, so the order within a session, which both kinds of sessions go
by, says nothing here; and nobody has vectors of these articles."""
SETTINGS: Final[dict[str, Any]] = {
    "cooc": {"weighting": "rp3beta", "beta": 0.4},
    "implicit": {"method": "als", "repeats": True},
}
"""Chosen by ``recsys pipelines tune``: customers are shops that buy the same again."""


def silent(*_: object) -> None:
    """Take what is told, and show nothing of it."""


@dataclass(frozen=True)
class Job:
    """The job that makes the signals of a built demo, in the name of ``sub``."""

    place: Place
    sub: str
    reason: str
    progress: Progress = silent

    def publish(self, surface: str, window: Window) -> Published:
        """Make the :data:`KINDS` of a window's events, and serve the surface from them.

        Raises:
            DemoFailed: the events are not there, a gate failed, or something else came between.
            VersionQuarantined: these very signals were found to be bad.
        """
        with _failing(self.place), asyncio.Runner() as runner:
            stack = AsyncExitStack()
            try:
                parts = runner.run(stack.enter_async_context(pipeline_parts(Settings(db=self.place.url))))
                return self._run(runner, parts, surface, window)
            finally:
                runner.run(stack.aclose())

    def _run(self, runner: asyncio.Runner, parts: PipelineParts, surface: str, window: Window) -> Published:
        tenant = runner.run(_tenant(parts))
        actor = Actor(sub=self.sub, actor_type="cli", reason=self.reason)
        serves = runner.run(served_manifest(parts, tenant.id, surface))
        pipeline = self._pipeline(parts, tenant, surface, window, serves)

        async def publisher(release: Release) -> Published:
            return await publish_release(parts.store, parts.blobs, actor, tenant.id, release)

        def publish(made: Sequence[Made]) -> Published:
            return runner.run(pipeline.publish(made, publisher))

        with pipeline.alone():
            ran = run_all(pipeline, SourceFolder(self.place.events), publish, parts.clock.now, silent)
        if ran.published is None:
            raise AssertionError("only a dry run publishes nothing")
        return ran.published

    def _pipeline(
        self, parts: PipelineParts, tenant: Tenant, surface: str, window: Window, serves: str | None
    ) -> Pipeline:
        wish = Wish(
            tenant=tenant.external_id, tenant_id=tenant.id, surface=surface, window=window, kinds=KINDS,
            catalog=self.place.items, serves=serves,
        )  # fmt: skip
        settings = read_settings(self.place.pipeline_settings.read_bytes())
        return Pipeline(wish, self.place.work, settings, parts.keys, parts.clock.now(), self.progress)


@dataclass(frozen=True)
class WrongDecember:
    """A job whose days are a year off. ``command``: the same on the command line."""

    place: Place
    surface: str
    command: str

    def __call__(self) -> str:
        """Publish; the version of the manifest."""
        return Job(self.place, "nightly", "nightly signals").publish(self.surface, WRONG_DECEMBER).manifest_version


async def _tenant(parts: PipelineParts) -> Tenant:
    async with parts.store.reading() as reader:
        return await reader.tenant(TENANT)


@contextmanager
def _failing(place: Place) -> Iterator[None]:
    try:
        yield
    except VersionQuarantined:
        raise
    except FileNotFoundError as missing:
        what = f"{missing.filename} is gone." if missing.filename else str(missing)
        raise DemoFailed(f"{what} Remove {place.directory}: the next start builds it again.") from None
    except PipelineError as error:
        raise DemoFailed("\n".join((error.message, *error.hints))) from None
    except RecsysError as error:
        raise DemoFailed(error.detail) from None
