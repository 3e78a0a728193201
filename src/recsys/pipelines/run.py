"""A run: the five stages one after the other, or one of them, on what the ones before have left."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from recsys import __version__
from recsys.domain.subject import SubjectKeys
from recsys.pipelines.canonicalise import Canonical, canonicalise, read_canonical, tables_in
from recsys.pipelines.compute import Inputs, Made, Progress, available, compute
from recsys.pipelines.engine import EngineName, opened
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.ingest import StagedFile, ingest, staged_files
from recsys.pipelines.place import Place, file_hash, read_json, write_json
from recsys.pipelines.publish import Published, Release
from recsys.pipelines.published_runs import published_before, remember_published
from recsys.pipelines.raw_event import Judge
from recsys.pipelines.read_catalog import read_catalog, read_vectors
from recsys.pipelines.report import Report, write_report
from recsys.pipelines.settings import PipelineSettings
from recsys.pipelines.validate import (
    Validation,
    read_validation,
    validate,
    write_set_aside,
)
from recsys.pipelines.window import Window

if TYPE_CHECKING:
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import SourceFiles

Publisher = Callable[[Release], Awaitable[Published]]
"""Publishes what was made; see :func:`recsys.pipelines.publish.publish_release`."""


class GateFailed(PipelineError):
    """The events are not good enough to be published. ``validation`` says why."""

    def __init__(self, validation: Validation) -> None:
        failed = [gate for gate in validation.gates if not gate.passed]
        said = [
            line for gate in failed for line in (f"{gate.name}: {gate.detail}", *(f"  {row}" for row in gate.rows[:5]))
        ]
        super().__init__(f"Nothing was published: {len(failed)} of {len(validation.gates)} gates failed.",
                         *said)  # fmt: skip
        self.validation = validation


class NothingToPublish(PipelineError):
    """There are no artifacts that belong to this input."""


class _Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Left behind by a run that has not ended: the next one with the same arguments goes on from there."""

    arguments: str


@dataclass(frozen=True)
class Wish:
    """What a run is about. ``tenant``: its external id; ``tenant_id``: its UUID.

    ``kinds`` None: all that there is input for. ``serves``: the version of the manifest that is current as the run
    begins; None when there is none, or nobody looked. ``new_surface``: the tenant had nothing of the surface then.
    """

    tenant: str
    tenant_id: str
    surface: str
    window: Window
    segment: str | None = None
    kinds: tuple[ArtifactKind, ...] | None = None
    engine: EngineName = "duckdb"
    threads: int | None = None
    incremental: bool = False
    catalog: Path | None = None
    vectors: Path | None = None
    serves: str | None = None
    new_surface: bool = False


@dataclass(frozen=True)
class Pipeline:
    """The stages. ``now`` is when the run began; ``keys`` makes of users what serving calls them."""

    wish: Wish
    work: Path
    settings: PipelineSettings
    keys: SubjectKeys
    now: datetime
    progress: Progress = lambda *_: None

    @property
    def place(self) -> Place:
        """Where everything of this tenant and surface is kept."""
        return Place.of(self.work, self.wish.tenant_id, self.wish.surface)

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes out of the place, from the first stage to the last of whoever is not alone there.

        Raises:
            PipelineError: another one is at work.
        """
        return self.place.alone(f"process {os.getpid()}, since {self.now:%Y-%m-%d %H:%M:%S} UTC")

    def ingest(self, sources: SourceFiles) -> list[StagedFile]:
        """Read the sources: all of them or, if ``incremental``, what is new."""
        self._begin()
        wish = self.wish
        names = frozenset((wish.tenant, wish.tenant_id))
        judge = Judge(wish.tenant_id, names, wish.surface, self.now, self.keys)
        staged = ingest(self.place, sources, judge, self.settings.limits.max_line_bytes, self.progress)
        if not wish.incremental:  # the run that is gone on with may have read other files, or the same by other names
            for key in {file.key for file in staged_files(self.place)} - {file.key for file in staged}:
                self.place.remove("staged", key)
        return staged

    def canonicalise(self) -> Canonical:
        """Bring the tables of the window's days up to date, and write down what was set aside."""
        files = self._staged()
        self.progress("canonicalise", 0, 1)
        made = canonicalise(
            self.place, files, self.wish.tenant_id, self.wish.surface, self.wish.window, self.settings.limits
        )
        write_set_aside(self.place, files)
        self.progress("canonicalise", 1, 1)
        return made

    def set_aside(self) -> Path | None:
        """The file of what was set aside; None when that is nothing."""
        path = self.place.at("set_aside.jsonl")
        return path if path.is_file() and path.stat().st_size else None

    def validate(self) -> Validation:
        """Judge the window's events."""
        with self.inputs() as inputs:
            self.progress("validate", 0, 1)
            before = published_before(self.place, self.wish.segment, self.wish.serves)
            return validate(self.place, inputs, self._staged(), read_canonical(self.place), before)

    def compute(self) -> list[Made]:
        """Make the artifacts."""
        with self.inputs() as inputs:
            return compute(self.place, inputs, available(inputs, self.wish.kinds))

    async def publish(self, made: Sequence[Made], publisher: Publisher) -> Published:
        """Publish what was made of events that have passed.

        Raises:
            GateFailed: they have not.
            NothingToPublish: nothing was made, or these events were not judged.
        """
        wish = self.wish
        validation, asked = read_validation(self.place, wish.segment), (wish.window, self.fingerprints()["events"])
        if validation is None or (Window(*validation.window), validation.fingerprint) != asked:
            raise NothingToPublish(
                "Nothing was published: the events of these days were not validated.", "Validate them first."
            )
        if not validation.passed:
            raise GateFailed(validation)
        if not any(each.rows for each in made):
            raise NothingToPublish("Nothing was published: there is no signal in it.", "Compute some first.")
        published = await publisher(Release(self.place, wish.surface, wish.segment, wish.window, made, self.now))
        remember_published(self.place, wish.segment, published.manifest_version, validation.volume)
        return published

    def report(
        self, made: list[Made], published: Published | None, now: datetime, *, dry_run: bool, refused: str | None = None
    ) -> tuple[Path, Path]:
        """Write down what was done, or why it was ``refused``; gives the paths of JSON and HTML."""
        wish, validation = self.wish, read_validation(self.place, self.wish.segment)
        if validation is None:
            raise PipelineError("There is nothing to report.", "Validate the events first.")
        known = max([validation.items, *(each.items for each in made if each.kind == "catalog")]) or 1
        report = Report(
            tenant=wish.tenant, surface=wish.surface, segment=wish.segment, start=wish.window.start.isoformat(),
            end=wish.window.end.isoformat(), engine=wish.engine, code_version=__version__, started_at=self.now,
            ended_at=now, dry_run=dry_run, validation=validation, made=made, published=published,
            refused=refused, new_surface=wish.new_surface,
            coverage={each.kind: min(1.0, each.items / known) for each in made},
        )  # fmt: skip
        return write_report(self.place, report)

    def end(self) -> None:
        """The run has ended, well or not; the next one begins anew."""
        self.place.remove("running.json")

    def fingerprints(self) -> dict[str, str]:
        """What each kind of input is, as a hash."""
        wish = self.wish
        days = read_canonical(self.place).days
        chosen = [f"{day} {days[day].sha256}" for day in map(date.isoformat, wish.window.days()) if day in days]
        events = hashlib.sha256("\n".join((wish.segment or "", *chosen)).encode()).hexdigest()
        files = {"catalog": wish.catalog, "vectors": wish.vectors}
        return {"events": events} | {name: file_hash(path) for name, path in files.items() if path}

    @contextmanager
    def inputs(self) -> Iterator[Inputs]:
        """What signals of the window are made of, as long as the engine is open."""
        wish, settings = self.wish, self.settings
        tables = tables_in(self.place, read_canonical(self.place), wish.window)
        with opened(wish.engine, self.place.at("_scratch"), settings.limits.memory_mb, wish.threads) as engine:
            yield Inputs(
                engine=engine, tables=tables, segment=wish.segment, window=wish.window, settings=settings,
                fingerprints=self.fingerprints(), catalog=read_catalog(wish.catalog) if wish.catalog else None,
                vectors=read_vectors(wish.vectors) if wish.vectors else None, threads=wish.threads,
                progress=self.progress,
            )  # fmt: skip

    def _begin(self) -> None:
        """Start from nothing, unless this is what was interrupted or what is new is enough."""
        marker = _Marker(arguments=repr((self.wish.tenant_id, self.wish.surface, self.wish.window)))
        path = self.place.at("running.json")
        if not self.wish.incremental and read_json(path, _Marker) != marker:
            self.place.remove("staged")
        write_json(path, marker)

    def _staged(self) -> list[StagedFile]:
        files = staged_files(self.place)
        if not files:
            raise PipelineError("Nothing has been ingested.", "Run the stage ingest first.")
        return files
