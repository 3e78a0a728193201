"""From a snapshot and a request to an answer: pure functions, without clock or I/O.

``timings_ms`` of the answers is empty: whoever has a clock fills it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from recsys.domain.config import Limits, SurfaceSettings, Variant, resolve
from recsys.domain.document import MANIFEST, DocumentRef
from recsys.domain.errors import ExplainTooLarge, Fault, InvalidRequest
from recsys.domain.recommend import (
    AnswerMeta,
    Notice,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
    ValidateResponse,
)
from recsys.ranking.pipeline import ALGO_VERSION, Ranking, rank
from recsys.ranking.scores import choose_weights
from recsys.ranking.similar import similar as rank_similar
from recsys.serving.experiments import NOBODY_CHOSEN, Chosen, choose_variants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recsys.serving.snapshot import Snapshot

MAX_EXPLAINED = 50

AnyRequest = TypeVar("AnyRequest", bound=RecommendRequest | SimilarRequest)


def recommend(
    snapshot: Snapshot,
    request: RecommendRequest,
    *,
    request_id: str,
    now: datetime,
    stale: bool,
    subject: str | None = None,
) -> RecommendResponse:
    """Answer ``/v1/recommend``. ``now``: the server's time, for requests that bring none of their own.

    ``subject``: the user's key in lists and histories, None for nobody known.

    Raises:
        InvalidRequest: more exclude_ids than the tenant's limits allow.
        Unprocessable: a variant that its experiment does not have.
        ExplainTooLarge: explain=full for more than 50 items.
    """
    at = request.context.now or now
    chosen = choose_variants(snapshot.documents.config, request, at)
    surface = snapshot.surfaces.get(request.surface)
    state = surface.state(chosen.variants) if surface else None
    request, notices = _within(request, _settings(snapshot, request.surface, chosen.variants).limits)
    ranking = rank(state, request, at, subject) if state else _no_data(snapshot, request.surface)
    meta = _meta(snapshot, request, ranking.counts, request_id, chosen)
    return _response(ranking, meta, [*notices, *_stale_notices(stale=stale)])


def similar(
    snapshot: Snapshot,
    request: SimilarRequest,
    *,
    request_id: str,
    now: datetime,
    stale: bool,
    subject: str | None = None,  # noqa: ARG001 - it is for no user; all answers are asked for alike
) -> RecommendResponse:
    """Answer ``/v1/similar``, which experiments do not reach: it is for no user; raises as :func:`recommend` does."""
    request, notices = _within(request, _settings(snapshot, request.surface).limits)
    surface = snapshot.surfaces.get(request.surface)
    ranking = rank_similar(surface.state(), request, now) if surface else _no_data(snapshot, request.surface)
    meta = _meta(snapshot, request, ranking.counts, request_id)
    return _response(ranking, meta, [*notices, *_stale_notices(stale=stale)])


def validate(
    snapshot: Snapshot,
    request: RecommendRequest,
    *,
    request_id: str,
    now: datetime,
    stale: bool,
    subject: str | None = None,  # noqa: ARG001 - nothing is ranked
) -> ValidateResponse:
    """Answer ``/v1/recommend/validate``: the request as it would be understood, without ranking; raises alike."""
    at = request.context.now or now
    chosen = choose_variants(snapshot.documents.config, request, at)
    settings = _settings(snapshot, request.surface, chosen.variants)
    request, notices = _within(request, settings.limits)
    algorithm = request.algorithm or settings.algorithm
    understood = msgspec.structs.replace(
        request,
        algorithm=algorithm,
        weights=choose_weights(algorithm, request.weights, settings.weights),
        context=msgspec.structs.replace(request.context, now=at),
    )
    warnings = [*notices, *_defaults(request, understood), *_surface_notices(snapshot, request.surface)]
    return ValidateResponse(
        normalized_request=_spelt_out(understood),
        warnings=[*warnings, *_stale_notices(stale=stale)],
        meta=_meta(snapshot, request, {}, request_id, chosen),
    )


def _settings(snapshot: Snapshot, surface: str, variants: tuple[Variant, ...] = ()) -> SurfaceSettings:
    served = snapshot.surfaces.get(surface)
    return served.state(variants).settings if served else resolve(snapshot.documents.config, surface, variants)


def _within(request: AnyRequest, limits: Limits) -> tuple[AnyRequest, list[Notice]]:
    """The request within the tenant's limits.

    k is lowered, and the answer says so: a limit that is set in an emergency must not turn working clients away.
    Exclusions are refused rather than dropped.
    """
    if isinstance(request, RecommendRequest) and len(request.candidates.exclude_ids) > limits.max_exclude_ids:
        got = len(request.candidates.exclude_ids)
        detail = f"At most {limits.max_exclude_ids} entries (limits.max_exclude_ids of the config), got {got}."
        raise InvalidRequest(faults=[Fault("/candidates/exclude_ids", detail)])
    notices = []
    if request.k > limits.max_k:
        notices = [Notice("DEFAULT_APPLIED", f"k is {limits.max_k}, lowered by limits.max_k of the config.")]
        request = msgspec.structs.replace(request, k=limits.max_k)
    if request.options.explain == "full" and request.k > MAX_EXPLAINED:
        raise ExplainTooLarge
    return request, notices


def _no_data(snapshot: Snapshot, surface: str) -> Ranking:
    detail = f"The surface {surface!r} has no data."
    if surface in snapshot.documents.manifests:
        named = f"{DocumentRef(MANIFEST.name, surface)} names"
        detail = f"The surface {surface!r} has no data here: what {named} cannot be served, or is not read yet."
    notice = Notice("SIGNAL_UNAVAILABLE", detail)
    return Ranking([], {"candidates": 0, "returned": 0}, [notice])


def _response(ranking: Ranking, meta: AnswerMeta, notices: list[Notice]) -> RecommendResponse:
    return RecommendResponse(
        items=ranking.items,
        meta=meta,
        warnings=[*ranking.warnings, *notices],
        trace=ranking.trace,
        explain_item=ranking.explain_item,
    )


def _meta(
    snapshot: Snapshot,
    request: RecommendRequest | SimilarRequest,
    counts: dict[str, int],
    request_id: str,
    chosen: Chosen = NOBODY_CHOSEN,
) -> AnswerMeta:
    pointers, part = snapshot.documents.pointers, snapshot.parts.get(request.surface)
    return AnswerMeta(
        tenant_id=snapshot.tenant_id,
        surface=request.surface,
        segment=request.segment,
        algo_version=ALGO_VERSION,
        config_version=pointers.config,
        rules_version=pointers.rules,
        # What made the answer, which may be behind the pointer for as long as new signals are being loaded.
        manifest_version=part.source.manifest_version if part is not None else None,
        revision=snapshot.revision,
        data_revision=snapshot.data_revision,
        request_id=request_id,
        experiments=chosen.assignments,
        counts=counts,
        timings_ms={},
    )


def _surface_notices(snapshot: Snapshot, surface: str) -> list[Notice]:
    return [] if surface in snapshot.surfaces else _no_data(snapshot, surface).warnings


def _stale_notices(*, stale: bool) -> list[Notice]:
    detail = "The control plane cannot be reached; this is the last state known."
    return [Notice("STALE_CONTROL_PLANE", detail)] if stale else []


def _defaults(request: RecommendRequest, understood: RecommendRequest) -> Iterator[Notice]:
    for name in ("segment", "k"):
        if getattr(request, name) == getattr(RecommendRequest(surface=request.surface), name):
            yield Notice("DEFAULT_APPLIED", f"{name} is {getattr(request, name)}.")
    if request.context.now is None:
        yield Notice("DEFAULT_APPLIED", "context.now is the server's time.")
    if request.algorithm is None:
        yield Notice("DEFAULT_APPLIED", f"algorithm is {understood.algorithm}.")
    if request.weights is None and understood.weights is not None:
        w = understood.weights
        yield Notice("DEFAULT_APPLIED", f"weights are pop {w.pop:g}, cooc {w.cooc:g}, emb {w.emb:g}.")


def _spelt_out(value: Any) -> Any:
    """A Struct as JSON values with the fields that have their default value too, those that are null left out."""
    if isinstance(value, msgspec.Struct):
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: _spelt_out(each) for name, each in fields if each is not None}
    return msgspec.to_builtins(value)
