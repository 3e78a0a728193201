"""The same events as several sets of signals: what there is to choose from."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, get_args

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.artifacts.codec import decode
from recsys.pipelines.canonicalise import read_canonical, tables_in
from recsys.pipelines.compute import artifact_of, available, compute
from recsys.pipelines.errors import PipelineError
from recsys.pipelines.place import Place
from recsys.pipelines.settings import ImplicitMethod
from recsys.serving.artifact_signals import build_from_artifacts

if TYPE_CHECKING:
    from recsys.artifacts.codec import Artifact
    from recsys.domain.manifest import ArtifactKind
    from recsys.pipelines.compute import Inputs
    from recsys.pipelines.settings import Cooc, Implicit, PipelineSettings
    from recsys.pipelines.window import Window
    from recsys.ranking.signals import SurfaceSignals

BETAS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_VARIED: Final[tuple[ArtifactKind, ArtifactKind]] = ("cooc", "implicit")
_COLUMNS: Final = ["event_id", "at", "segment", "user_id", "session_id", "item_id", "event_type"]


def variants(settings: PipelineSettings) -> dict[tuple[str, str], PipelineSettings]:
    """Settings by names that tell the weighting of ``cooc`` and the method of ``implicit``; those given come first."""
    coocs, implicits = _coocs(settings.cooc), _implicits(settings.implicit)
    return {
        (cooc, implicit): msgspec.structs.replace(settings, cooc=coocs[cooc], implicit=implicits[implicit])
        for cooc in coocs
        for implicit in implicits
    }


class VariantSignals(Mapping[tuple[str, str], "SurfaceSignals"]):
    """The signals of each variant, as serving builds them from artifacts, made when they are asked for.

    Artifacts are kept below ``tune/`` of ``place``, beside those that are to be published.
    """

    def __init__(
        self, place: Place, inputs: Inputs, surface: str, settings: Mapping[tuple[str, str], PipelineSettings]
    ) -> None:
        self._place = place
        self._inputs = inputs
        self._surface = surface
        self._settings = settings
        self._artifacts: dict[tuple[ArtifactKind, str], Artifact] = {}

    def __getitem__(self, names: tuple[str, str]) -> SurfaceSignals:
        own = copy.copy(self._inputs)  # with the coded events, which depend on neither
        own.settings = self._settings[names]
        variant = dict(zip(_VARIED, names, strict=True))
        artifacts: dict[ArtifactKind, Artifact] = {
            kind: self._artifact(own, kind, variant.get(kind, "")) for kind in available(own, None)
        }
        return build_from_artifacts(self._surface, artifacts, None)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def _artifact(self, inputs: Inputs, kind: ArtifactKind, variant: str) -> Artifact:
        found = self._artifacts.get((kind, variant))
        if found is None:
            place = Place(self._place.at("tune", variant, kind).parent)
            compute(place, inputs, [kind])
            found = decode(kind, artifact_of(place, inputs.segment, kind).read_bytes())
            self._artifacts[kind, variant] = found
        return found


def read_events(place: Place, window: Window, segment: str | None) -> pa.Table:
    """The canonical events of a window, of one segment if one is asked for.

    Raises:
        PipelineError: there are none.
    """
    tables = tables_in(place, read_canonical(place), window)
    filters = None if segment is None else [("segment", "=", segment)]
    parts = [pq.read_table(path, columns=_COLUMNS, filters=filters) for path in tables]
    parts = [part for part in parts if part.num_rows]
    if not parts:
        raise PipelineError(
            f"There are no events from {window.start} to {window.end}.",
            "Run `recsys pipelines run` for these days first.",
        )
    return pa.concat_tables(parts)


def _coocs(own: Cooc) -> dict[str, Cooc]:
    others = [msgspec.structs.replace(own, weighting=weighting) for weighting in ("count", "cosine")]
    others += [msgspec.structs.replace(own, weighting="rp3beta", beta=beta) for beta in BETAS]
    return {
        f"rp3beta-{each.beta:g}" if each.weighting == "rp3beta" else each.weighting: each for each in (own, *others)
    }


def _implicits(own: Implicit) -> dict[str, Implicit]:
    methods = itertools.product(get_args(ImplicitMethod), (False, True))
    others = [msgspec.structs.replace(own, method=method, repeats=repeats) for method, repeats in methods]
    return {f"{each.method}{'-repeats' if each.repeats else ''}": each for each in (own, *others)}
