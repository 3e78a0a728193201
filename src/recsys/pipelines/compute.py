"""Compute: one artifact per kind, each a checkpoint; what is there already for the same input is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
import pyarrow as pa

from recsys.artifacts.codec import FORMATS, encode
from recsys.domain.manifest import ArtifactKind
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.kinds.content_sim import content_sim
from recsys.pipelines.kinds.cooc import cooc
from recsys.pipelines.kinds.embedding import embedding, is_approximate
from recsys.pipelines.kinds.history import history
from recsys.pipelines.kinds.implicit import implicit
from recsys.pipelines.kinds.popularity import popularity
from recsys.pipelines.kinds.session_knn import session_knn
from recsys.pipelines.kinds.session_seq import session_seq
from recsys.pipelines.pairs import Progress as Told
from recsys.pipelines.place import Place, file_hash, read_json, replacing, write_json
from recsys.pipelines.settings import PipelineSettings, fingerprint
from recsys.pipelines.visits import Coded, code, select_events

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine, Expression
    from recsys.pipelines.window import Window

KINDS: Final[tuple[ArtifactKind, ...]] = get_args(ArtifactKind)
_FROM_CATALOG: Final = ("catalog", "content_sim")
_FROM_VECTORS: Final = ("embedding",)
_VERSION: Final = 7
"""Raised when a computation changes what it gives for the same input."""

Progress = Callable[[str, int, int], None]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact that was computed.

    ``engine``: its name and its own version; ``depends_on_engine``: another engine or machine may give other bytes.
    """

    kind: ArtifactKind
    fingerprint: str
    input_fingerprint: str
    config_hash: str
    engine: str
    depends_on_engine: bool
    sha256: str
    bytes: int
    rows: int
    items: int
    seconds: float


@dataclass
class Inputs:
    """What signals are made of. ``tables``: canonical days; ``catalog``, ``vectors``: long tables, None if not given.

    ``fingerprints``: of events, catalog and vectors. ``threads`` of what no engine computes; None: one per core.
    """

    engine: Engine
    tables: Sequence[Path]
    segment: str | None
    window: Window
    settings: PipelineSettings
    fingerprints: dict[str, str]
    catalog: pa.Table | None = None
    vectors: pa.Table | None = None
    threads: int | None = None
    progress: Progress = field(default=lambda *_: None)

    @cached_property
    def events(self) -> Expression:
        """The selected events, as texts."""
        if not self.tables:
            raise PipelineError("There are no events in this window.", "Ingest and canonicalise them first.")
        return select_events(self.engine.read(self.tables), self.segment)

    @cached_property
    def coded(self) -> Coded:
        """The events as codes, made when the first kind asks."""
        self.progress("code events", 0, 1)
        return code(self.engine, self.events, self.settings.session_gap_minutes)


def available(inputs: Inputs, kinds: Sequence[ArtifactKind] | None) -> list[ArtifactKind]:
    """The kinds to compute: those asked for, else all that there is input for.

    Raises:
        PipelineError: one is asked for whose input is not given.
    """
    lacking = {*(_FROM_CATALOG if inputs.catalog is None else ()), *(_FROM_VECTORS if inputs.vectors is None else ())}
    if kinds is None:
        return [kind for kind in KINDS if kind not in lacking]
    for kind in kinds:
        if kind in lacking:
            option = "--vectors" if kind in _FROM_VECTORS else "--catalog"
            raise PipelineError(f"{kind} needs what {option} names.", f"Give {option}, or leave it out of --kinds.")
    return [kind for kind in KINDS if kind in kinds]


def compute(place: Place, inputs: Inputs, kinds: Sequence[ArtifactKind]) -> list[Made]:
    """Make the artifacts of some kinds, in the order of :data:`KINDS`."""
    return [_make(place, inputs, kind) for kind in kinds]


def artifact_of(place: Place, segment: str | None, kind: ArtifactKind) -> Path:
    """The file of an artifact."""
    return place.at(segment_folder(segment), "signals", f"{kind}.arrow")


def segment_folder(segment: str | None) -> str:
    """Where results of a segment lie; names of segments cannot begin with an underscore."""
    return segment or "_all"


def _make(place: Place, inputs: Inputs, kind: ArtifactKind) -> Made:
    path = artifact_of(place, inputs.segment, kind)
    own_settings = _settings_of(inputs, kind)
    source = _source_of(kind)
    depends = _depends_on_engine(inputs, kind)
    basis = {
        "source": inputs.fingerprints[source],
        "config": own_settings,
        "version": [_VERSION, FORMATS[kind].version],
        "segment": inputs.segment,
        "engine": inputs.engine.name if depends else "",
    }
    expected = fingerprint(basis)
    known = read_json(path.with_suffix(".json"), Made)
    if known and known.fingerprint == expected and path.exists() and file_hash(path) == known.sha256:
        return known
    inputs.progress(f"compute {kind}", 0, 1)
    began = perf_counter()
    table = _COMPUTATIONS[kind](inputs, lambda done, total: inputs.progress(f"compute {kind}", done, total))
    content = encode(kind, table)
    with replacing(path) as own:
        own.write_bytes(content)
    made = Made(
        kind=kind, fingerprint=expected, input_fingerprint=inputs.fingerprints[source],
        config_hash=fingerprint(own_settings), engine=f"{inputs.engine.name} {inputs.engine.version}",
        depends_on_engine=depends,
        sha256=file_hash(path), bytes=len(content), rows=table.num_rows, items=_count_items(table),
        seconds=round(perf_counter() - began, 3),
    )  # fmt: skip
    write_json(path.with_suffix(".json"), made)
    return made


def _depends_on_engine(inputs: Inputs, kind: ArtifactKind) -> bool:
    """Whether another engine, or another machine, may give other bytes: what is not done in whole numbers."""
    if kind == "embedding":
        return is_approximate(inputs.vectors, inputs.settings.embedding)
    return kind == "implicit" and inputs.settings.implicit.method == "als"


def _count_items(table: pa.Table) -> int:
    column = table.column("item_id")
    if pa.types.is_dictionary(column.type):
        return len(pa.compute.unique(pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32())))
    return len(column.unique())


def _source_of(kind: ArtifactKind) -> str:
    if kind in _FROM_CATALOG:
        return "catalog"
    return "vectors" if kind in _FROM_VECTORS else "events"


def _settings_of(inputs: Inputs, kind: ArtifactKind) -> dict[str, Any]:
    """The settings that decide what a kind is; limits of memory do not."""
    settings = inputs.settings
    own = {} if kind == "catalog" else msgspec.to_builtins(getattr(settings, kind))
    if _source_of(kind) == "events":
        own |= {"window": [inputs.window.start.isoformat(), inputs.window.end.isoformat()],
                "session_gap_minutes": settings.session_gap_minutes}  # fmt: skip
    return {"kind": kind, **own}


_COMPUTATIONS: Final[dict[ArtifactKind, Callable[[Inputs, Told], pa.Table]]] = {
    "popularity": lambda given, _: popularity(given.engine, given.events, given.settings.popularity, given.window),
    "cooc": lambda given, told: cooc(given.coded, given.settings.cooc, given.settings.limits, given.window, told),
    "implicit": lambda given, told: implicit(given.coded, given.settings.implicit, given.settings.limits, told),
    "content_sim": lambda given, told: content_sim(given.catalog, given.settings.content_sim, told, given.threads),
    "session_seq": lambda given, _: session_seq(given.coded, given.settings.session_seq, given.window),
    "session_knn": lambda given, _: session_knn(given.coded, given.settings.session_knn),
    "history": lambda given, _: history(given.coded, given.settings.history),
    "embedding": lambda given, told: embedding(given.vectors, given.settings.embedding, told),
    "catalog": lambda given, _: given.catalog,
}
