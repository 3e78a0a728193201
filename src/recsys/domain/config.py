"""The config document: weights, limits and switches of one tenant, with overrides per surface."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from recsys.domain.canonical import escape
from recsys.domain.errors import Fault
from recsys.domain.names import Segment, Surface
from recsys.domain.validation import convert, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.domain.canonical import Json

Algorithm = Literal["blend", "popularity", "cooc", "implicit", "content_sim", "session_seq"]
Finite = Annotated[float, Meta(ge=-1e12, le=1e12)]
HalfLife = Annotated[float, Meta(gt=0, le=100_000)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
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


class Variant(_Section, frozen=True):
    """One arm of an experiment: its share of the subjects, and what it changes about the surface's config."""

    name: Name
    weight: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    config: SurfaceConfig = SurfaceConfig()


class Experiment(_Section, frozen=True):
    """A comparison of variants.

    ``traffic``: the share of the subjects that take part; ``salt``: absent, the id. Where several experiments concern a
    request, the later one in the document wins, section by section.
    """

    id: Name
    variants: Annotated[list[Variant], Meta(min_length=1, max_length=20)]
    salt: Name | None = None
    traffic: Annotated[float, Meta(ge=0, le=1)] = 1.0
    surface: Surface | None = None
    segment: Segment | None = None
    starts_at: Annotated[datetime, Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None


class Config(SurfaceConfig, frozen=True):
    """The config document as stored. The guard is kept as sent; see ``lint``."""

    experiments: Annotated[list[Experiment], Meta(max_length=100)] | None = None
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
    exclude: ExcludeConfig


def resolve(config: Config, surface: str, variants: Sequence[Variant] = ()) -> SurfaceSettings:
    """Lay the overrides of variants (the last wins) over the surface's, the tenant's config and the defaults."""
    surface_config = (config.surfaces or {}).get(surface) or SurfaceConfig()
    layers = [*(variant.config for variant in reversed(variants)), surface_config, config]

    def first(section: str, default: Any) -> Any:
        return next((found for layer in layers if (found := getattr(layer, section)) is not None), default)

    flags = {name: value for layer in reversed(layers) for name, value in (layer.flags or {}).items()}
    return SurfaceSettings(
        weights=first("weights", None),
        algorithm=first("algorithm", "blend"),
        limits=first("limits", Limits()),
        enable_rules=flags.get("enable_rules", True),
        popularity=first("popularity", PopularityConfig()),
        anchors=first("anchors", AnchorsConfig()),
        diversity=first("diversity", DiversityConfig()),
        personalization=first("personalization", PersonalizationConfig()),
        exclude=first("exclude", ExcludeConfig()),
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
    """What is wrong in meaning about a well-formed config document: negative weights, impossible experiments."""
    config = read_config(value)
    for pointer, part in _sections(config):
        for name in part.weights.negative() if part.weights else ():
            yield Fault(f"{pointer}/weights/{name}", "A weight must not be negative.")
    seen: set[str] = set()
    for at, experiment in enumerate(config.experiments or []):
        yield from (Fault(f"/experiments/{at}{where}", what) for where, what in _impossible(experiment, seen))
        seen.add(experiment.id)


def _sections(config: Config) -> Iterator[tuple[str, SurfaceConfig]]:
    yield "", config
    for name, part in (config.surfaces or {}).items():
        yield f"/surfaces/{escape(name)}", part
    for at, experiment in enumerate(config.experiments or []):
        for number, variant in enumerate(experiment.variants):
            yield f"/experiments/{at}/variants/{number}/config", variant.config


def _impossible(experiment: Experiment, seen: set[str]) -> Iterator[tuple[str, str]]:
    if experiment.id in seen:
        yield "/id", f"There are two experiments {experiment.id!r}."
    names = {variant.name for variant in experiment.variants}
    if len(names) < len(experiment.variants):
        yield "/variants", "Two variants have the same name."
    if not any(variant.weight for variant in experiment.variants):
        yield "/variants", "At least one variant needs a weight above 0."
    if experiment.starts_at and experiment.ends_at and experiment.ends_at <= experiment.starts_at:
        yield "/ends_at", "The window is empty: ends_at must be later than starts_at."
