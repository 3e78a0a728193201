"""All stages one after the other, with a report at the end: what ``recsys pipelines run`` does, for whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.domain.errors import RecsysError
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.run import GateFailed
from recsys.pipelines.summary import of_artifacts, of_days, of_files

if TYPE_CHECKING:
    from recsys.domain.ports import SourceFiles
    from recsys.pipelines.compute import Made
    from recsys.pipelines.publish import Published
    from recsys.pipelines.run import Pipeline

Publish = Callable[["Sequence[Made]"], "Published"]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Ran:
    """What came of a run. ``report``: its JSON; ``published`` is None after a dry run."""

    report: Path
    published: Published | None


def run_all(
    pipeline: Pipeline, sources: SourceFiles, publish: Publish | None, now: Callable[[], datetime], note: Note
) -> Ran:
    """Ingest, canonicalise, validate, compute and publish; without ``publish`` a dry run.

    ``note`` is told what the stages came to, and where the report is, which is written whether it was published or not.

    Raises:
        GateFailed: the events are not good enough.
        PipelineError: it could not go on, or there was nothing to publish.
        RecsysError: the publish was refused.
    """
    note(of_files(pipeline.ingest(sources)))
    note(of_days(pipeline.canonicalise(), pipeline.wish.window))
    if aside := pipeline.set_aside():
        note(f"What was set aside, and why: {aside}")
    validation = pipeline.validate()
    made = pipeline.compute() if validation.passed else []
    if validation.passed:
        note(of_artifacts(made))
    published, refused = None, None
    try:
        if not validation.passed:
            raise GateFailed(validation)
        if publish is None:
            note("This was a dry run: nothing was published.")
        else:
            published = publish(made)
    except RecsysError as error:
        refused = error.detail
        raise
    except PipelineError as error:
        refused = error.message
        pipeline.end()  # it was judged; what is still to be done after other errors is done by the next run
        raise
    finally:
        report, page = pipeline.report(made, published, now(), dry_run=publish is None, refused=refused)
        note(f"Report: {page}")
    pipeline.end()
    return Ran(report, published)
