"""``recsys pipelines``: from raw events to a published manifest, as a whole or stage by stage."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.console import Group
from rich.text import Text

from recsys.cli.document import Document
from recsys.cli.pipeline_options import OPTIONS, take_options
from recsys.cli.pipeline_session import PipelineSession, opened_session
from recsys.cli.replicas import receipt
from recsys.cli.tune import tune
from recsys.domain.document import MANIFEST

if TYPE_CHECKING:
    from recsys.pipelines.publish import Published


def pipelines_group() -> typer.Typer:
    """The commands about pipelines."""
    app = typer.Typer(no_args_is_help=True, help="Build signals from events, and publish them as a manifest.")
    for name, stage in _STAGES.items():
        _register(app, name, stage)
    app.command("tune", help=inspect.cleandoc(tune.__doc__ or ""))(tune)
    return app


def run(session: PipelineSession) -> None:
    """Run all stages: ingest, canonicalise, validate, compute, publish.

    Exit code 0 when it was published (with --dry-run: when it could be), 1 when it failed, 2 when a gate failed or
    there was nothing to publish. A run that was interrupted goes on where it was. What was published is waited for
    until every replica serves it, ten seconds at most.
    """
    from recsys.pipelines.run_all import run_all

    if new := session.new_surface():
        session.note(new)
    publishing = None if session.options.dry_run else session.publish
    ran = run_all(session.pipeline, session.sources(), publishing, session.now, session.note)
    report = json.loads(ran.report.read_bytes())
    if ran.published is None:
        session.answer(report)
    else:
        _answer_published(session, report, ran.published)


def ingest(session: PipelineSession) -> None:
    """Read the sources into staged tables; what cannot count is set aside."""
    from recsys.pipelines.summary import of_files

    files = session.pipeline.ingest(session.sources())
    session.answer(msgspec.to_builtins(files), of_files(files))


def canonicalise(session: PipelineSession) -> None:
    """Make the tables of the window's days from what is staged."""
    from recsys.pipelines.summary import of_days

    canonical = session.pipeline.canonicalise()
    session.answer(msgspec.to_builtins(canonical), of_days(canonical, session.pipeline.wish.window))
    if aside := session.pipeline.set_aside():
        session.note(f"What was set aside, and why: {aside}")


def validate(session: PipelineSession) -> None:
    """Judge the window's events. Exit code 2 when a gate fails."""
    from recsys.pipelines.summary import of_gates

    validation = session.pipeline.validate()
    session.answer(msgspec.to_builtins(validation), of_gates(validation))
    session.require(validation)


def compute(session: PipelineSession) -> None:
    """Compute the artifacts of the window's events; one that is there for the same input is not made again."""
    from recsys.pipelines.summary import of_artifacts

    made = session.pipeline.compute()
    session.answer(msgspec.to_builtins(made), of_artifacts(made))


def publish(session: PipelineSession) -> None:
    """Publish what was computed of validated events. Exit code 2 when there is nothing, or a gate failed."""
    published = session.publish(session.pipeline.compute())
    session.pipeline.end()
    _answer_published(session, msgspec.to_builtins(published), published)


def _answer_published(session: PipelineSession, answer: dict[str, Any], published: Published) -> None:
    """Say what became of the manifest before waiting for those who serve it, who are the answer's ``receipt``."""
    what = "Published" if published.changed else "The same artifacts are current already"
    became = f"{what}: manifest {published.manifest_version[:12]}, revision {published.revision}."
    if session.options.as_json:
        session.note(became)
    else:
        session.answer(answer, became)
    answer["receipt"] = msgspec.to_builtins(session.converge(published))
    new = session.new_surface()
    answer["new_surface"] = new is not None
    warned = [Text(f"! {new} {_undo(session, published)}", "yellow")] if new and session.surfaces else []
    session.answer(answer, Group(*warned, *receipt(answer)))


def _undo(session: PipelineSession, published: Published) -> str:
    """For a surface that was not meant: the command that takes its manifest away again."""
    document = Document(MANIFEST, session.pipeline.wish.tenant, session.pipeline.wish.surface)
    before = max(0, published.revision - 1)
    return f"If it was not meant: recsys manifest rollback {document.options} --revision {before}"


_STAGES: dict[str, Callable[[PipelineSession], None]] = {
    "run": run,
    "ingest": ingest,
    "canonicalise": canonicalise,
    "validate": validate,
    "compute": compute,
    "publish": publish,
}


def _register(app: typer.Typer, name: str, stage: Callable[[PipelineSession], None]) -> None:
    """Make a stage a command with the options that all of them share."""

    def command(**values: Any) -> None:
        with opened_session(take_options(values)) as session:
            stage(session)

    command.__signature__ = inspect.Signature(OPTIONS)  # type: ignore[attr-defined]
    app.command(name, help=inspect.cleandoc(stage.__doc__ or ""))(command)
