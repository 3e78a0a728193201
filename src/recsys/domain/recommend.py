"""Requests and answers of the serving API: the one source of decoding, encoding and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from recsys.domain.config import Algorithm, Weights
from recsys.domain.errors import Fault, Unprocessable
from recsys.domain.names import ItemId, Segment, ShortText, Surface, Tag

ExplainLevel = Literal["none", "summary", "full"]
DEFAULT_SEGMENT = "default"
DEFAULT_K = 20

Price = Annotated[float, Meta(ge=0, le=1e12)]
TagList = Annotated[list[Tag], Meta(max_length=200)]
IdList = Annotated[list[ItemId], Meta(max_length=5_000)]


class _Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,  # a tree cannot have a cycle, so the collector need not look for one with every few requests
):
    """What every part of a request has in common: immutable, and an unknown field is refused."""


class User(_Part, frozen=True):
    """Who the answer is for; at least one of the three."""

    user_id: ShortText | None = None
    anonymous_id: ShortText | None = None
    session_id: ShortText | None = None


class Context(_Part, frozen=True):
    """Circumstances. ``now`` decides rule and experiment windows and nothing else; absent: the server's clock."""

    locale: ShortText | None = None
    country: ShortText | None = None
    device: ShortText | None = None
    now: Annotated[datetime, Meta(tz=True)] | None = None


class Anchors(_Part, frozen=True):
    """Items that the user is looking at, oldest first. ``max_anchors``: only the last so many count."""

    item_ids: Annotated[list[ItemId], Meta(max_length=50)] = []
    max_anchors: Annotated[int, Meta(ge=1, le=50)] | None = None


class Candidates(_Part, frozen=True):
    """``include_ids``, when given, are the only candidates; ``exclude_ids`` never appear, pinned or not."""

    include_ids: IdList | None = None
    exclude_ids: IdList = []


class Constraints(_Part, frozen=True):
    """What every answered item must satisfy, pins included. ``max_per_tag`` caps how many items carry each tag."""

    required_tags: TagList = []
    forbidden_tags: TagList = []
    max_per_tag: Annotated[dict[Tag, Annotated[int, Meta(ge=0, le=200)]], Meta(max_length=200)] = {}
    price_min: Price | None = None
    price_max: Price | None = None
    created_after: Annotated[datetime, Meta(tz=True)] | None = None


class Options(_Part, frozen=True):
    """What the answer should say about itself; never what it contains."""

    explain: ExplainLevel = "none"
    include_reasons: bool = False
    include_trace: bool = False
    explain_item: ItemId | None = None
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


class ExperimentChoice(_Part, frozen=True):
    """Which variant of an experiment: in a request, an assignment that the caller made itself."""

    id: ShortText
    variant: ShortText


class RecommendRequest(_Part, frozen=True):
    """The body of ``POST /v1/recommend`` and ``/v1/recommend/validate``."""

    surface: Surface
    segment: Segment = DEFAULT_SEGMENT
    k: Annotated[int, Meta(ge=1, le=200)] = DEFAULT_K
    user: User = User()
    context: Context = Context()
    anchors: Anchors = Anchors()
    candidates: Candidates = Candidates()
    constraints: Constraints = Constraints()
    weights: Weights | None = None
    algorithm: Algorithm | None = None
    options: Options = Options()
    experiment: ExperimentChoice | None = None


class SimilarRequest(_Part, frozen=True):
    """The body of ``POST /v1/similar``: items like one item."""

    surface: Surface
    item_id: ItemId
    segment: Segment = DEFAULT_SEGMENT
    k: Annotated[int, Meta(ge=1, le=200)] = DEFAULT_K
    constraints: Constraints = Constraints()
    options: Options = Options()


class Notice(msgspec.Struct, frozen=True, gc=False):
    """A warning in an answer: something was defaulted, missing or filtered."""

    code: Literal[
        "DEFAULT_APPLIED",
        "SIGNAL_UNAVAILABLE",
        "SIGNAL_PARTIAL",
        "CONSTRAINTS_FILTERED",
        "CANDIDATES_INCLUDE_FILTERED",
        "CANDIDATES_INCLUDE_EMPTY",
        "RULE_PIN_INJECTED",
        "STALE_CONTROL_PLANE",
    ]
    detail: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an item has its score.

    ``signals``: what each signal contributed (with ``full`` also raw and normalised values); ``rules``: the ids (or
    positions in the document) of the rules that touched it.
    """

    signals: dict[str, Any]
    rules: list[str] = []


class RankedItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One item of an answer; ranks start at 1 and have no gaps."""

    item_id: str
    rank: int
    score: float
    reasons: list[str] = []
    explain: Explanation | None = None


class AnswerMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What produced an answer. A version is null where the tenant has no such document.

    ``experiments``: the variants that were laid over the config, if any.
    """

    tenant_id: str
    surface: str
    segment: str
    algo_version: str
    config_version: str | None
    rules_version: str | None
    manifest_version: str | None
    revision: int
    data_revision: int
    request_id: str
    experiments: list[ExperimentChoice] = []
    counts: dict[str, int]
    timings_ms: dict[str, float]


class RecommendResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The answer of ``/v1/recommend`` and ``/v1/similar``. ``trace`` and ``explain_item`` only when asked for."""

    items: Sequence[RankedItem]
    meta: AnswerMeta
    warnings: list[Notice]
    trace: dict[str, Any] | None = None
    explain_item: dict[str, Any] | None = None


class ValidateResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``/v1/recommend/validate``: the request as it would be understood, without ranking."""

    normalized_request: dict[str, Any]
    warnings: list[Notice]
    meta: AnswerMeta


def check_request(request: RecommendRequest) -> None:
    """Refuse a well-formed request that is wrong in meaning.

    Raises:
        Unprocessable: no user id, a negative weight, an empty price range.
    """
    faults = list(_constraint_faults(request.constraints))
    user = request.user
    if not (user.user_id or user.anonymous_id or user.session_id):
        faults.append(Fault("/user", "Give at least one of user_id, anonymous_id and session_id."))
    if request.weights is not None:
        faults += [Fault(f"/weights/{n}", "A weight must not be negative.") for n in request.weights.negative()]
    if faults:
        raise Unprocessable(faults=faults)


def check_similar(request: SimilarRequest) -> None:
    """Refuse a well-formed request that is wrong in meaning; see :func:`check_request`."""
    if faults := list(_constraint_faults(request.constraints)):
        raise Unprocessable(faults=faults)


def _constraint_faults(constraints: Constraints) -> list[Fault]:
    low, high = constraints.price_min, constraints.price_max
    if low is not None and high is not None and low > high:
        return [
            Fault(
                "/constraints/price_min",
                "The price range is empty: price_min is above price_max.",
            )
        ]
    return []
