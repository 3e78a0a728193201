"""``recsys pipelines tune``: which weights and weightings would have answered better; writes files, changes nothing."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import msgspec
import typer

from recsys.cli.failure import Failure
from recsys.cli.pipeline_options import OPTIONS, take_options
from recsys.cli.pipeline_session import PipelineSession, opened_session
from recsys.domain.event import EventType

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.domain.config import SurfaceSettings
    from recsys.evaluation.holdout import Case
    from recsys.evaluation.search import Tuned
    from recsys.evaluation.tuned import TuneReport
    from recsys.pipelines.settings import PipelineSettings
    from recsys.pipelines.window import Window

K: Final = 20
FEWEST_CASES: Final = 30
_NOT_TAKEN: Final[dict[str, Any]] = {
    "source": None, "event_log": False, "kinds": None, "incremental": False, "dry_run": False, "reason": None,
}  # fmt: skip


class Predicted(StrEnum):
    """Whose next items are to be found."""

    USERS = "users"
    SESSIONS = "sessions"


@dataclass(frozen=True)
class TuneOptions:
    """What is asked of tuning alone."""

    validation_days: int
    predict: Predicted
    outcomes: tuple[str, ...] | None
    most_cases: int


def _options(
    *,
    validation_days: Annotated[
        int,
        typer.Option("--validation-days", min=1, metavar="DAYS", help="The last so many days are to be predicted."),
    ] = 14,
    predict: Annotated[
        Predicted,
        typer.Option("--predict", help="What known users do next, or the second half of a session from its first."),
    ] = Predicted.USERS,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            "--outcome", metavar="TYPE", help="The type of event to predict; may be repeated. Without it, all types."
        ),
    ] = None,
    max_cases: Annotated[
        int, typer.Option("--max-cases", min=FEWEST_CASES, metavar="N", help="At most so many users or sessions.")
    ] = 2_000,
) -> None:
    """Only the signature counts."""


TUNE_OPTIONS = (
    *(option for option in OPTIONS if option.name not in _NOT_TAKEN),
    *inspect.signature(_options, eval_str=True).parameters.values(),
)


def tune(**values: Any) -> None:
    """Search for better weights, algorithm and co-visit weighting of a surface; nothing is applied.

    Signals are computed from the first days of the window and judged on its last days, by the code that serves. A
    candidate config, candidate pipeline settings and a report are left in the work directory.
    """
    outcomes = tuple(values.pop("outcome") or ()) or None
    unknown = set(outcomes or ()) - set(get_args(EventType))
    if unknown:
        raise typer.BadParameter(
            f"--outcome: {', '.join(sorted(unknown))} is not among {', '.join(get_args(EventType))}."
        )
    asked = TuneOptions(values.pop("validation_days"), values.pop("predict"), outcomes, values.pop("max_cases"))
    options = take_options(_NOT_TAKEN | values)
    if (options.end - options.start).days < asked.validation_days:
        raise typer.BadParameter(f"--validation-days {asked.validation_days} leaves no day to compute signals from.")
    with opened_session(options) as session:
        _tune(session, asked)


tune.__signature__ = inspect.Signature(TUNE_OPTIONS)  # type: ignore[attr-defined]


def _tune(session: PipelineSession, asked: TuneOptions) -> None:
    from recsys.domain.config import read_config, resolve
    from recsys.evaluation.search import Search
    from recsys.pipelines.variants import VariantSignals, variants

    etag, document = _current_config(session)
    settings = resolve(read_config(document), session.options.surface)
    train, validation = _windows(session, asked)
    cases = _cases(session, asked, settings, train, validation)
    pipeline = replace(session.pipeline, wish=replace(session.pipeline.wish, window=train))
    named = variants(pipeline.settings)
    with pipeline.inputs() as inputs:
        signals = VariantSignals(pipeline.place, inputs, session.options.surface, named)
        tuned = Search(signals, settings, cases, K, pipeline.progress).run()
    report = _report(session, asked, tuned, train, validation, len(cases))
    paths = _write(session, document, named[tuned.best.choice.signals], tuned, report)
    _tell(session, etag, paths, report)


def _windows(session: PipelineSession, asked: TuneOptions) -> tuple[Window, Window]:
    from recsys.pipelines.window import Window

    options = session.options
    cut = options.end - timedelta(days=asked.validation_days - 1)
    return Window(options.start, cut - timedelta(days=1)), Window(cut, options.end)


def _current_config(session: PipelineSession) -> tuple[str | None, Any]:
    """The current config's version, and the document; None and an empty one where there is none."""
    from recsys.domain.canonical import parse
    from recsys.domain.document import CONFIG, DocumentRef

    async def read() -> Any:
        async with session.parts.store.reading() as reader:
            return await reader.pointer(session.tenant.id, DocumentRef(CONFIG.name))

    pointer = session.runner.run(read())
    return (pointer.version.etag, parse(pointer.version.text.encode())) if pointer else (None, {})


def _cases(
    session: PipelineSession, asked: TuneOptions, settings: SurfaceSettings, train: Window, validation: Window
) -> list[Case]:
    from recsys.evaluation.holdout import session_cases, split, user_cases
    from recsys.pipelines.variants import read_events
    from recsys.pipelines.window import Window

    events = read_events(session.pipeline.place, Window(train.start, validation.end), session.options.segment)
    before, after = split(events, datetime.combine(validation.start, time(tzinfo=UTC)))
    if asked.predict is Predicted.USERS:
        cases = user_cases(before, after, outcomes=asked.outcomes, exclude=settings.exclude, most=asked.most_cases)
    else:
        cases = session_cases(before, after, outcomes=asked.outcomes, most=asked.most_cases)
    if len(cases) < FEWEST_CASES:
        raise Failure(
            f"Only {len(cases)} {asked.predict} can be judged from {validation.start} to {validation.end}; "
            f"{FEWEST_CASES} is the least.",
            "A user needs events before and in these days, a session two items in them: take a longer window "
            "(--start, --validation-days), or --predict the other of users and sessions.",
        )
    return cases


def _report(
    session: PipelineSession, asked: TuneOptions, tuned: Tuned, train: Window, validation: Window, cases: int
) -> TuneReport:
    from recsys.evaluation.tuned import TuneReport, tried_row

    options = session.options
    return TuneReport(
        tenant=session.tenant.external_id, surface=options.surface, segment=options.segment, predict=asked.predict,
        train=(str(train.start), str(train.end)), validation=(str(validation.start), str(validation.end)),
        cases=cases, k=K, current=tried_row(tuned.current), best=tried_row(tuned.best), gain=tuned.gain,
        clearly_better=tuned.gain.low > 0, tried=[tried_row(trial) for trial in tuned.trials],
    )  # fmt: skip


def _write(
    session: PipelineSession, document: Any, settings: PipelineSettings, tuned: Tuned, report: TuneReport
) -> dict[str, Path]:
    from recsys.evaluation.tuned import as_markdown, candidate_config
    from recsys.pipelines.compute import segment_folder
    from recsys.pipelines.place import replacing, write_json

    folder = session.pipeline.place.at(segment_folder(session.options.segment), "tune", "report.md").parent
    paths = {name: folder / f"{name}.json" for name in ("config", "pipelines", "report")} | {
        "page": folder / "report.md"
    }
    write_json(paths["config"], candidate_config(document, session.options.surface, tuned))
    write_json(paths["pipelines"], msgspec.to_builtins(settings))
    write_json(paths["report"], report)
    with replacing(paths["page"]) as own:
        own.write_text(as_markdown(report), encoding="utf-8")
    return paths


def _tell(session: PipelineSession, etag: str | None, paths: dict[str, Path], report: TuneReport) -> None:
    session.answer(msgspec.to_builtins(report))
    session.note(f"Report: {paths['page']}")
    if report.best == report.current:
        session.note("Nothing was better than what is in force: the candidate is the current config.")
        return
    sure = "" if report.clearly_better else " This may be chance: the interval reaches 0."
    session.note(
        f"NDCG@{K} {report.current.ndcg[0]:.4f} → {report.best.ndcg[0]:.4f}.{sure} Nothing was applied. To apply:"
    )
    if (report.best.cooc, report.best.implicit) != (report.current.cooc, report.current.implicit):
        session.note(f"  recsys pipelines run … --settings {paths['pipelines']}")
    condition = f" --if-match {etag}" if etag else ""
    session.note(f"  recsys config put {paths['config']} -t {report.tenant}{condition}")
