"""The options that all commands of ``recsys pipelines`` share."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from recsys.cli.operations import Db, Json
from recsys.cli.options import Reason, Surface, Tenant
from recsys.domain.manifest import ArtifactKind
from recsys.domain.names import FORMS, SURFACE_PATTERN

_DAY = ["%Y-%m-%d"]


class EngineChoice(StrEnum):
    """Where expressions run."""

    DUCKDB = "duckdb"
    SPARK = "spark"


@dataclass(frozen=True)
class PipelineOptions:
    """What was asked for. ``start``, ``end``: UTC days, both included. ``kinds`` None: all that there is input for."""

    tenant: str
    surface: str
    start: date
    end: date
    segment: str | None
    source: list[str]
    event_log: bool
    catalog: Path | None
    vectors: Path | None
    kinds: tuple[ArtifactKind, ...] | None
    engine: EngineChoice
    threads: int | None
    incremental: bool
    dry_run: bool
    work: Path
    settings: Path | None
    db: str | None
    reason: str | None
    as_json: bool


def _options(
    *,
    tenant: Tenant,
    surface: Surface,
    start: Annotated[datetime, typer.Option("--start", formats=_DAY, metavar="DAY", help="First UTC day, 2026-01-31.")],
    end: Annotated[datetime, typer.Option("--end", formats=_DAY, metavar="DAY", help="Last UTC day; it counts too.")],
    segment: Annotated[
        str | None, typer.Option("--segment", metavar="SEGMENT", help="Only events of this segment.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="PLACE",
            help="A file or folder of .jsonl, .csv or .parquet, or s3://bucket/prefix; may be repeated. "
            "Without one, the service's event log.",
        ),
    ] = None,
    event_log: Annotated[bool, typer.Option("--event-log", help="The service's event log beside the sources.")] = False,
    catalog: Annotated[
        Path | None,
        typer.Option("--catalog", metavar="FILE", help="Items, as `recsys items load` takes them, or as Parquet."),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", metavar="FILE", help="Parquet with item_id and vector, for `embedding`."),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option("--kinds", metavar="KINDS", help="With commas between. Without it, all that there is input for."),
    ] = None,
    engine: Annotated[EngineChoice, typer.Option("--engine", help="Where it is computed.")] = EngineChoice.DUCKDB,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Of DuckDB. Without it, one per core.")
    ] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Read only files that are new or have changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but publish.")] = False,
    work: Annotated[
        Path, typer.Option("--work", metavar="DIR", help="Where tables and results are kept between runs.")
    ] = Path("recsys-pipelines"),
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="JSON, see docs/pipelines.md. Default: defaults.")
    ] = None,
    db: Db = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Only the signature counts."""


OPTIONS = tuple(inspect.signature(_options, eval_str=True).parameters.values())


def take_options(values: dict[str, Any]) -> PipelineOptions:
    """The options as typed, checked.

    Raises:
        BadParameter: naming the option.
    """
    taken = dict(values)
    taken["start"], taken["end"] = values["start"].date(), values["end"].date()
    if taken["end"] < taken["start"]:
        raise typer.BadParameter(f"--end {taken['end']} is before --start {taken['start']}.")
    for name in ("surface", "segment"):
        if values[name] is not None and not re.match(SURFACE_PATTERN, values[name]):
            raise typer.BadParameter(f"--{name}: expected {FORMS[SURFACE_PATTERN]}, got {values[name]!r}.")
    for name in ("catalog", "vectors"):
        if values[name] is not None and not values[name].is_file():
            raise typer.BadParameter(f"--{name}: there is no file {values[name]}.")
    taken["source"] = list(values["source"] or ())
    taken["kinds"] = _kinds(values["kinds"]) if values["kinds"] is not None else None
    return PipelineOptions(**taken)


def _kinds(text: str) -> tuple[ArtifactKind, ...]:
    known: tuple[ArtifactKind, ...] = get_args(ArtifactKind)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise typer.BadParameter(f"--kinds: {', '.join(unknown) or 'nothing'} is not among {', '.join(known)}.")
    return tuple(kind for kind in known if kind in names)
