"""Exposures: what was shown to whom, as lines that evaluations join with outcomes by ``request_id``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from recsys.domain.recommend import (
    AnswerMeta,
    ExperimentChoice,
    RankedItem,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
    User,
)

if TYPE_CHECKING:
    from recsys.domain.subject import SubjectKeys

ExposureFormat = Literal["service_v1", "eval_v1", "off"]
Endpoint = Literal["recommend", "similar"]

_NOBODY = User()


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """One answer, as the path of a request hands it over; the log's thread makes lines of it.

    ``items`` may be the JSON that was sent, so that it is written only once.
    """

    time: datetime
    endpoint: Endpoint
    user: User
    k: int
    meta: AnswerMeta
    items: msgspec.Raw | list[RankedItem]


class ServiceExposure(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="service_v1"):
    """A line of ``service_v1``: the whole answer and everything that produced it."""

    time: datetime
    request_id: str
    tenant_id: str
    endpoint: Endpoint
    surface: str
    segment: str
    subject: str | None
    k: int
    algo_version: str
    config_version: str | None
    rules_version: str | None
    manifest_version: str | None
    revision: int
    data_revision: int
    experiments: list[ExperimentChoice]
    items: msgspec.Raw


class EvalItem(msgspec.Struct, frozen=True, gc=False):
    """What an evaluation asks of a shown item: which, and where."""

    item_id: str
    rank: int


class EvalExposure(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="eval_v1"):
    """A line of ``eval_v1``: flat and short, what an evaluation joins on."""

    time: datetime
    request_id: str
    tenant_id: str
    surface: str
    subject: str | None
    experiment: str | None
    variant: str | None
    items: list[EvalItem]


AnyLine: TypeAlias = ServiceExposure | EvalExposure
Lines: TypeAlias = "Callable[[Exposure, SubjectKeys], Iterator[AnyLine]]"


def exposure_of(request: RecommendRequest | SimilarRequest, answer: RecommendResponse, time: datetime) -> Exposure:
    """What to record of an answer. Similar items are shown too, though nobody knows to whom."""
    if isinstance(request, RecommendRequest):
        return Exposure(time, "recommend", request.user, request.k, answer.meta, answer.items)
    return Exposure(time, "similar", _NOBODY, request.k, answer.meta, answer.items)


def service_lines(exposure: Exposure, subjects: SubjectKeys) -> Iterator[AnyLine]:
    """One line per answer."""
    meta, items = exposure.meta, exposure.items
    yield ServiceExposure(
        time=exposure.time,
        request_id=meta.request_id,
        tenant_id=meta.tenant_id,
        endpoint=exposure.endpoint,
        surface=meta.surface,
        segment=meta.segment,
        subject=subjects.of(meta.tenant_id, exposure.user) or None,
        k=exposure.k,
        algo_version=meta.algo_version,
        config_version=meta.config_version,
        rules_version=meta.rules_version,
        manifest_version=meta.manifest_version,
        revision=meta.revision,
        data_revision=meta.data_revision,
        experiments=meta.experiments,
        items=items if isinstance(items, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(items)),
    )


def eval_lines(exposure: Exposure, subjects: SubjectKeys) -> Iterator[AnyLine]:
    """One line per experiment of the answer, so that a line has one variant; one without, when there is none."""
    meta = exposure.meta
    items = _eval_items(exposure.items)
    subject = subjects.of(meta.tenant_id, exposure.user) or None
    chosen: list[ExperimentChoice | None] = [*meta.experiments] or [None]
    for choice in chosen:
        yield EvalExposure(
            time=exposure.time,
            request_id=meta.request_id,
            tenant_id=meta.tenant_id,
            surface=meta.surface,
            subject=subject,
            experiment=None if choice is None else choice.id,
            variant=None if choice is None else choice.variant,
            items=items,
        )


LINES: dict[str, Lines] = {"service_v1": service_lines, "eval_v1": eval_lines}
"""How an exposure is written, by format; a format that is not here is not written at all."""


def _eval_items(items: msgspec.Raw | list[RankedItem]) -> list[EvalItem]:
    if isinstance(items, msgspec.Raw):
        return msgspec.json.decode(items, type=list[EvalItem])
    return [EvalItem(each.item_id, each.rank) for each in items]
