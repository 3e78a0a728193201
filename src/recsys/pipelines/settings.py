"""How the pipelines compute and what they refuse: one typed set of settings, part of every fingerprint."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from recsys.domain.canonical import canonicalise, parse
from recsys.domain.event import EventType
from recsys.domain.validation import convert
from recsys.ranking.weighting import Weighting

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Days = Annotated[float, Meta(gt=0, le=36_500)]
ImplicitMethod = Literal["rp3beta", "als"]
EventWeights = dict[EventType, Annotated[float, Meta(ge=0, le=1_000)]]

EVENT_WEIGHTS: Final[EventWeights] = {"view": 1.0, "click": 2.0, "add_to_cart": 4.0, "purchase": 8.0}


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run refuses to take on."""

    max_days_backfill: Count = 400
    max_events_per_run: Count = 50_000_000
    max_line_bytes: Annotated[int, Meta(ge=1_024)] = 1_048_576
    pairs_per_chunk: Count = 8_000_000
    """How many pairs of one session, with repetitions, a self-join may make at a time: this bounds its memory."""
    memory_mb: Annotated[int, Meta(ge=256)] = 2_048
    """Memory of the engine; what does not fit goes to files."""


class Gates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When events are too bad to be published."""

    max_set_aside_share: Share = 0.01
    max_duplicate_share: Share = 0.05
    max_missing_days_share: Share = 0.5
    min_events: Count = 1
    min_volume_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.5
    max_volume_ratio: Annotated[float, Meta(ge=1)] = 2.0
    max_drift: Share = 0.5
    """Largest total variation distance between the items' shares of events, now and at the run before."""


class Popularity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Σ over events of weight(type) · 2^(−age in days / half_life_days)."""

    half_life_days: Days | None = 30.0
    weights: EventWeights = msgspec.field(default_factory=lambda: dict(EVENT_WEIGHTS))
    """An event of a type that is not named counts nothing."""


class Cooc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items of one session. ``session_items``: only the so many last different items of a session count."""

    weighting: Weighting = "rp3beta"
    half_life_days: Days | None = None
    session_items: Annotated[int, Meta(ge=2, le=1_000)] = 30
    neighbours: Annotated[int, Meta(ge=1, le=1_000)] = 100
    alpha: Annotated[float, Meta(gt=0, le=10)] = 1.0
    beta: Annotated[float, Meta(ge=0, le=10)] = 0.6


class Implicit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list for each user: RP³β over what users had in common, or ALS factors.

    ``user_items``: only the so many last different items of a user count; the time of RP³β grows with its square.
    ``repeats``: whether what a user has had in the window, however long ago, may stand on the list: for shops where
    people buy the same again.
    """

    method: ImplicitMethod = "rp3beta"
    repeats: bool = False
    user_items: Annotated[int, Meta(ge=1, le=1_000)] = 20
    neighbours: Annotated[int, Meta(ge=1, le=1_000)] = 50
    items: Annotated[int, Meta(ge=1, le=1_000)] = 50
    alpha: Annotated[float, Meta(gt=0, le=10)] = 1.0
    beta: Annotated[float, Meta(ge=0, le=10)] = 0.6
    factors: Annotated[int, Meta(ge=1, le=1_024)] = 64
    iterations: Annotated[int, Meta(ge=1, le=100)] = 15
    regularization: Annotated[float, Meta(ge=0)] = 0.05


class ContentSim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cosine of TF-IDF over tags."""

    neighbours: Annotated[int, Meta(ge=1, le=1_000)] = 50


class SessionSeq(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was looked at right after what, within a session."""

    half_life_days: Days | None = None
    neighbours: Annotated[int, Meta(ge=1, le=1_000)] = 50


class SessionKnn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sessions that VMIS-kNN compares with: the latest of each item."""

    sessions_per_item: Annotated[int, Meta(ge=1, le=10_000)] = 500
    session_items: Annotated[int, Meta(ge=2, le=1_000)] = 30


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last events of each user."""

    events_per_user: Annotated[int, Meta(ge=1, le=10_000)] = 100


class Embedding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Neighbours by the cosine of vectors; above ``exact_items`` an approximate index finds them."""

    neighbours: Annotated[int, Meta(ge=1, le=1_000)] = 50
    exact_items: Count = 20_000


class PipelineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a run computes, besides its input."""

    session_gap_minutes: Annotated[float, Meta(gt=0, le=1_440)] = 30.0
    limits: Limits = Limits()
    gates: Gates = Gates()
    popularity: Popularity = Popularity()
    cooc: Cooc = Cooc()
    implicit: Implicit = Implicit()
    content_sim: ContentSim = ContentSim()
    session_seq: SessionSeq = SessionSeq()
    session_knn: SessionKnn = SessionKnn()
    history: History = History()
    embedding: Embedding = Embedding()


def read_settings(data: bytes) -> PipelineSettings:
    """Settings from a JSON document.

    Raises:
        InvalidRequest: every fault with its JSON pointer.
    """
    return convert(parse(data), PipelineSettings)


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON of anything that msgspec can make plain."""
    return hashlib.sha256(canonicalise(msgspec.to_builtins(value)).encode()).hexdigest()
