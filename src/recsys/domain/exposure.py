"""Exposures: what was shown to whom, as lines that evaluations join with outcomes by request id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from recsys.domain.recommend import AnswerMeta, ExperimentChoice, RankedItem

ExposureFormat = Literal["service_v1", "eval_v1", "off"]
Endpoint = Literal["recommend", "similar"]

_encode = msgspec.json.Encoder().encode


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """One answer, as the path of a request hands it over.

    ``subject``: the key of who it was for, None for nobody. ``items_json`` and ``meta_json`` are what was sent, so that
    they are written out only once.
    """

    time: datetime
    endpoint: Endpoint
    subject: str | None
    k: int
    items: Sequence[RankedItem]
    meta: AnswerMeta
    items_json: msgspec.Raw
    meta_json: msgspec.Raw


class ServiceExposure(msgspec.Struct, frozen=True, tag_field="schema", tag="service_v1"):
    """A line of ``service_v1``: the whole answer and everything that produced it."""

    time: datetime
    endpoint: Endpoint
    subject: str | None
    k: int
    items: msgspec.Raw
    meta: msgspec.Raw


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


def service_lines(shown: Exposure) -> bytes:
    """One line per answer."""
    line = ServiceExposure(shown.time, shown.endpoint, shown.subject, shown.k, shown.items_json, shown.meta_json)
    return _encode(line) + b"\n"


def eval_lines(shown: Exposure) -> bytes:
    """One line per experiment of the answer, so that a line has one variant; one without, when there is none."""
    meta = shown.meta
    items = [EvalItem(each.item_id, each.rank) for each in shown.items]
    chosen: list[ExperimentChoice | None] = [*meta.experiments] or [None]
    lines = [
        EvalExposure(
            time=shown.time,
            request_id=meta.request_id,
            tenant_id=meta.tenant_id,
            surface=meta.surface,
            subject=shown.subject,
            experiment=None if choice is None else choice.id,
            variant=None if choice is None else choice.variant,
            items=items,
        )
        for choice in chosen
    ]
    return b"".join(_encode(line) + b"\n" for line in lines)


LINES: dict[ExposureFormat, Callable[[Exposure], bytes]] = {"service_v1": service_lines, "eval_v1": eval_lines}
"""How an exposure is written, by format; a format that is not here is not written at all."""
