"""The config document: weights, limits and switches of one tenant, with overrides per surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from recsys.domain.errors import Fault
from recsys.domain.names import Surface
from recsys.domain.validation import convert, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.domain.canonical import Json

Algorithm = Literal["blend", "popularity", "cooc", "implicit", "content_sim", "session_seq"]
Finite = Annotated[float, Meta(ge=-1e12, le=1e12)]
HalfLife = Annotated[float, Meta(gt=0, le=100_000)]
KNOWN_FLAGS = ("enable_rules",)


class _Section(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What every section has in common: immutable, and a key it does not know is a fault."""


class Weights(_Section, frozen=True):
    """α, β and γ of the blend. As given, not rescaled; all zero counts as α = 1."""

    pop: Finite = 0.0
    cooc: Finite = 0.0
    emb: Finite = 0.0

    def negative(self) -> Iterator[str]:
        """The names of the weights below zero."""
        return (name for name in ("pop", "cooc", "emb") if getattr(self, name) < 0)


DEFAULT_WEIGHTS = Weights(pop=1.0, cooc=0.5, emb=0.2)


class Limits(_Section, frozen=True):
    """Bounds on one request. ``fanout``: how many items the popularity candidates reach."""

    max_k: Annotated[int, Meta(ge=1, le=200)] = 200
    max_exclude_ids: Annotated[int, Meta(ge=0, le=5_000)] = 5_000
    max_pins: Annotated[int, Meta(ge=0, le=200)] = 3
    fanout: Annotated[int, Meta(ge=1, le=10_000)] = 500


class PopularityConfig(_Section, frozen=True):
    """``half_life_days``: after how many days a day's popularity counts half. Absent: days count alike."""

    half_life_days: HalfLife | None = None


class AnchorsConfig(_Section, frozen=True):
    """``half_life``: after how many anchors, counted from the last, an anchor counts half. Absent: all count alike."""

    half_life: HalfLife | None = None


class DiversityConfig(_Section, frozen=True):
    """MMR (0 or absent: off) and the most items of one brand or category in an answer."""

    mmr_lambda: Annotated[float, Meta(ge=0, le=1)] | None = None
    brand_cap: Annotated[int, Meta(ge=1, le=200)] | None = None
    category_cap: Annotated[int, Meta(ge=1, le=200)] | None = None


class PersonalizationConfig(_Section, frozen=True):
    """How much an item gains by sharing tags with the user's anchors and history."""

    boost: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    top_tags: Annotated[int, Meta(ge=1, le=200)] = 10
    min_events: Annotated[int, Meta(ge=0, le=10_000)] = 0
    cold_start_multiplier: Annotated[float, Meta(ge=0, le=1e6)] = 1.0


class ExcludeConfig(_Section, frozen=True):
    """What the user did that keeps an item out of the answer, and for how many days."""

    event_types: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=20)] = []
    window_days: Annotated[float, Meta(gt=0, le=100_000)] | None = None


class SurfaceConfig(_Section, frozen=True):
    """What may differ per surface. An absent section is the tenant's; a present one replaces it as a whole."""

    weights: Weights | None = None
    algorithm: Algorithm | None = None
    limits: Limits | None = None
    flags: dict[str, bool] | None = None
    popularity: PopularityConfig | None = None
    anchors: AnchorsConfig | None = None
    diversity: DiversityConfig | None = None
    personalization: PersonalizationConfig | None = None
    exclude: ExcludeConfig | None = None


class Config(SurfaceConfig, frozen=True):
    """The config document as stored. Experiments and the guard are kept as sent; see ``lint``."""

    experiments: Annotated[list[dict[str, Any]], Meta(max_length=100)] | None = None
    guard: dict[str, Any] | None = None
    surfaces: Annotated[dict[Surface, SurfaceConfig], Meta(max_length=1_000)] | None = None


class SurfaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A config resolved for one surface: every section is there."""

    weights: Weights | None
    algorithm: Algorithm
    limits: Limits
    enable_rules: bool
    popularity: PopularityConfig
    anchors: AnchorsConfig
    diversity: DiversityConfig
    personalization: PersonalizationConfig


def resolve(config: Config, surface: str) -> SurfaceSettings:
    """Lay a surface's overrides over the tenant's config and the defaults."""
    override = (config.surfaces or {}).get(surface) or SurfaceConfig()
    return SurfaceSettings(
        weights=override.weights or config.weights,
        algorithm=override.algorithm or config.algorithm or "blend",
        limits=override.limits or config.limits or Limits(),
        enable_rules={**(config.flags or {}), **(override.flags or {})}.get("enable_rules", True),
        popularity=override.popularity or config.popularity or PopularityConfig(),
        anchors=override.anchors or config.anchors or AnchorsConfig(),
        diversity=override.diversity or config.diversity or DiversityConfig(),
        personalization=override.personalization or config.personalization or PersonalizationConfig(),
    )


def read_config(value: Json) -> Config:
    """Turn a config document into its typed form.

    Raises:
        InvalidRequest: for a document that :func:`config_faults` finds fault with.
    """
    return convert(value, Config)


def config_faults(value: Json) -> Iterator[Fault]:
    """What is ill-formed about a config document."""
    yield from faults(value, Config)


def config_mistakes(value: Json) -> Iterator[Fault]:
    """What is wrong in meaning about a well-formed config document: negative weights."""
    config = read_config(value)
    parts = [
        ("", config),
        *((f"/surfaces/{name}", part) for name, part in (config.surfaces or {}).items()),
    ]
    for pointer, part in parts:
        for name in part.weights.negative() if part.weights else ():
            yield Fault(f"{pointer}/weights/{name}", "A weight must not be negative.")
