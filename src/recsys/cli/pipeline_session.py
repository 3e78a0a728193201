"""What a command of ``recsys pipelines`` works with, its progress on stderr, and its failures as exit codes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from recsys.cli.command import console, reporting
from recsys.cli.database import database_errors, require_file, require_schema
from recsys.cli.failure import Failure, Misused
from recsys.cli.hints import hints_for_job
from recsys.cli.person import os_user
from recsys.cli.written import not_written
from recsys.control.converge import converge
from recsys.domain.access import Actor
from recsys.domain.errors import InvalidRequest, NotReady, RecsysError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from recsys.bootstrap.pipelines import PipelineParts
    from recsys.bootstrap.settings import Settings
    from recsys.cli.pipeline_options import PipelineOptions
    from recsys.control.converge import Receipt
    from recsys.domain.ports import SourceFiles
    from recsys.domain.tenant import Tenant
    from recsys.pipelines.compute import Made
    from recsys.pipelines.publish import Published, Release
    from recsys.pipelines.run import Pipeline
    from recsys.pipelines.settings import PipelineSettings
    from recsys.pipelines.validate import Validation

_SOME: Final = 3
_PATIENCE_S: Final = 10.0
"""How long a job waits for the replicas: longer than a person, since signals are files that they have to fetch."""


class NotPublished(Failure):
    """A gate failed, or there was nothing to publish."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True)
class PipelineSession:
    """One pipeline, and the way to the control plane."""

    options: PipelineOptions
    pipeline: Pipeline
    parts: PipelineParts
    tenant: Tenant
    runner: asyncio.Runner
    surfaces: frozenset[str]
    """What the tenant had when the command began."""

    def new_surface(self) -> str | None:
        """That nothing has been there under this name, which may be a slip of the pen; None: there has."""
        wish = self.pipeline.wish
        if not wish.new_surface:
            return None
        others = f"so far there are {', '.join(sorted(self.surfaces))}" if self.surfaces else "it is the first one"
        return f"{wish.surface} is a new surface of {wish.tenant}: {others}."

    def now(self) -> datetime:
        """The time now."""
        return self.parts.clock.now()

    def sources(self) -> SourceFiles:
        """Where the events come from."""
        from recsys.bootstrap.pipelines import open_sources

        log = self.parts.event_log if self.options.event_log or not self.options.source else None
        try:
            sources = open_sources(self.options.source, log, self.tenant.id, self.options.work)
        except FileNotFoundError as error:
            raise Misused(
                str(error), "Name a file or folder with --source; without one, the service's log is read."
            ) from None
        with suppress(OSError):  # who reads them says so
            if names := sources.left_out():
                some = ", ".join(names[:_SOME]) + (", …" if len(names) > _SOME else "")
                self.note(f"Left out, since their names do not end like events: {len(names):,} ({some}).")
        return sources

    def publish(self, made: Sequence[Made]) -> Published:
        """Publish in the name of the person at the keyboard."""
        from recsys.pipelines.publish import publish_release

        actor = Actor(sub=os_user(), actor_type="cli", reason=self.options.reason or "recsys pipelines")

        async def publisher(release: Release) -> Published:
            return await publish_release(self.parts.store, self.parts.blobs, actor, self.tenant.id, release)

        return self.runner.run(self.pipeline.publish(made, publisher))

    def converge(self, published: Published) -> Receipt:
        """Wait until every replica serves what was published, or a while has passed."""
        revision = published.revision
        return self.runner.run(converge(self.parts.replicas, self.tenant.id, revision=revision, cap_s=_PATIENCE_S))

    def require(self, validation: Validation) -> None:
        """Fail when a gate has."""
        from recsys.pipelines.run import GateFailed

        if not validation.passed:
            raise GateFailed(validation)

    def note(self, text: str) -> None:
        """Say something that is not the answer."""
        console(stderr=True).print(text, soft_wrap=True)

    def answer(self, value: Any, said: RenderableType | None = None) -> None:
        """Print the result with ``--json``, else what is to be said of it."""
        if self.options.as_json:
            print(json.dumps(value, ensure_ascii=False))
        elif said is not None:
            console().print(said, soft_wrap=True)


@contextmanager
def opened_session(options: PipelineOptions) -> Iterator[PipelineSession]:
    """Open database, artifact store and work directory; failures become messages and exit codes.

    Raises:
        Exit: 1 for what failed, 2 for what was asked wrongly, did not pass or had nothing to publish.
    """
    with reporting(), _pipeline_errors(), asyncio.Runner() as runner:
        settings = _service_settings(options)
        require_file(settings.db)
        with database_errors(settings.db):
            runner.run(require_schema(settings.db))
            stack = AsyncExitStack()
            try:
                with _refusals(options.tenant):
                    yield runner_session(runner, stack, options, settings)
            finally:
                runner.run(stack.aclose())


def runner_session(
    runner: asyncio.Runner, stack: AsyncExitStack, options: PipelineOptions, settings: Settings
) -> PipelineSession:
    """A session whose parts are closed with ``stack``."""
    from recsys.bootstrap.pipelines import known_surfaces, pipeline_parts, served_manifest
    from recsys.pipelines.run import Pipeline, Wish
    from recsys.pipelines.window import Window

    parts = runner.run(stack.enter_async_context(pipeline_parts(settings)))
    tenant = runner.run(_tenant(parts, options.tenant))
    surfaces = runner.run(known_surfaces(parts, tenant.id))
    wish = Wish(
        tenant=tenant.external_id, tenant_id=tenant.id, surface=options.surface,
        window=Window(options.start, options.end), segment=options.segment, kinds=options.kinds,
        engine=options.engine.value, threads=options.threads, incremental=options.incremental,
        catalog=options.catalog, vectors=options.vectors,
        serves=runner.run(served_manifest(parts, tenant.id, options.surface)),
        new_surface=options.surface not in surfaces,
    )  # fmt: skip
    progress = stack.enter_context(_shown_progress())
    pipeline = Pipeline(wish, options.work, _pipeline_settings(options), parts.keys, parts.clock.now(), progress)
    try:
        stack.enter_context(pipeline.alone())
    except OSError as error:
        raise not_written(options.work, error) from None
    return PipelineSession(options, pipeline, parts, tenant, runner, surfaces)


async def _tenant(parts: PipelineParts, reference: str) -> Tenant:
    async with parts.store.reading() as reader:
        return await reader.tenant(reference)


def _service_settings(options: PipelineOptions) -> Settings:
    from recsys.bootstrap.settings import Settings, SettingsError

    try:
        return Settings.from_environment(os.environ, db=options.db)
    except SettingsError as error:
        raise Misused(str(error), "All settings are in docs/settings.md") from None


def _pipeline_settings(options: PipelineOptions) -> PipelineSettings:
    from recsys.pipelines.settings import PipelineSettings, read_settings

    if options.settings is None:
        return PipelineSettings()
    try:
        return read_settings(options.settings.read_bytes())
    except OSError as error:
        raise Misused(f"--settings: {error}") from None
    except InvalidRequest as error:
        faults = [f"  {fault.pointer}: {fault.detail}" for fault in error.faults]
        raise Misused(f"--settings {options.settings}: {error.detail}", *faults) from None


@contextmanager
def _pipeline_errors() -> Iterator[None]:
    """Failures of the room and of the use cases in the words of the command line."""
    try:
        from recsys.pipelines.errors import PipelineError
        from recsys.pipelines.run import GateFailed, NothingToPublish
    except ModuleNotFoundError as missing:
        raise Failure(f"{missing.name} is missing.", "pip install 'recsys[pipelines]'") from None
    try:
        yield
    except (GateFailed, NothingToPublish) as error:
        raise NotPublished(error.message, *error.hints) from None
    except PipelineError as error:
        raise Failure(error.message, *error.hints) from None


@contextmanager
def _refusals(tenant: str) -> Iterator[None]:
    """What the control plane refuses, with what to do; a database that cannot be reached is another matter."""
    try:
        yield
    except NotReady:
        raise
    except RecsysError as error:
        raise Failure(error.detail, *hints_for_job(error, tenant)) from None


@contextmanager
def _shown_progress() -> Iterator[Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    out = console(stderr=True)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as shown:
        task = shown.add_task("", total=1)

        def tell(what: str, done: int, total: int) -> None:
            shown.update(task, description=what, completed=done, total=total)

        yield tell
