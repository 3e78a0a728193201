"""Lint: what is valid about a document but may not do what its author expects, given the time and the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from recsys.domain.catalogue import Catalogue
from recsys.domain.config import KNOWN_FLAGS, Config, Experiment, SurfaceConfig, read_config
from recsys.domain.document import CONFIG, RULES, DocumentRef, Lint
from recsys.domain.errors import InvalidRequest
from recsys.domain.manifest import Manifest, read_manifest
from recsys.domain.rules import Rule, read_rules
from recsys.ranking.sources import SOURCE_OF_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from recsys.domain.canonical import Json

_NAMED = 5
_MOST_BLOCKED = 0.5
"""A larger share of a surface than this is more likely a mistake than merchandising."""
_DATA: Final = {
    "history": "a user history",
    "collab": "a collaborative list per user",
    "content": "a list of items alike in content",
    "session": "a list of next items",
}
"""The signals that fields of a config stand and fall with, as people call them."""


class SurfaceCatalogue(Catalogue, Protocol):
    """A catalogue that also knows which surfaces have data, and of which signals."""

    def has_surface(self, surface: str) -> bool:
        """Whether the surface has data."""

    def describes(self, surface: str) -> bool:
        """Whether a tag or a price of any item of the surface is known."""

    def having(self, signal: str) -> dict[str, bool]:
        """The surfaces with data, and whether each has this signal (``history`` is one, too)."""

    def count_blocked(self, rules: Sequence[Rule], now: datetime) -> dict[str, tuple[int, int]]:
        """How many items of each surface these rules block at ``now``, and how many items it has."""


def lint(ref: DocumentRef, value: Json, catalogue: SurfaceCatalogue, now: datetime) -> list[Lint]:
    """The warnings about a document. One that today's code cannot read gives a single warning, never an error."""
    try:
        if ref.kind is CONFIG:
            return lint_config(read_config(value), catalogue, now)
        if ref.kind is RULES:
            prefix = "/rules" if isinstance(value, dict) else ""
            return lint_rules(read_rules(value), catalogue, now, prefix)
        return lint_manifest(read_manifest(value), catalogue)
    except InvalidRequest as error:
        return [Lint(code="UNREADABLE", detail=f"This release cannot read the document: {error.detail}")]


def lint_manifest(manifest: Manifest, catalogue: SurfaceCatalogue) -> list[Lint]:
    """The warnings about a manifest: what requests to its surface will miss most."""
    found = []
    if "popularity" not in manifest.current:
        detail = (
            "It names no popularity artifact, so who brings no anchors and has no list of their own gets any items."
        )
        found.append(Lint(code="SIGNAL_UNAVAILABLE", detail=detail, pointer="/current"))
    if "catalog" not in manifest.current and not catalogue.describes(manifest.surface):
        detail = "It names no catalog, and no items are loaded for this surface: nothing is known of tags and prices."
        found.append(Lint(code="SIGNAL_UNAVAILABLE", detail=detail, pointer="/current"))
    return found


def lint_rules(rules: Sequence[Rule], catalogue: SurfaceCatalogue, now: datetime, prefix: str = "") -> list[Lint]:
    """The warnings about rules; pointers begin with ``prefix``."""
    found = [each for at, rule in enumerate(rules) for each in _rule_lint(rule, catalogue, now, f"{prefix}/{at}")]
    for surface, (blocked, items) in catalogue.count_blocked(rules, now).items():
        if blocked > items * _MOST_BLOCKED:
            detail = f"These rules block {blocked:,} of the {items:,} items of the surface {surface!r}."
            found.append(Lint(code="MOSTLY_BLOCKED", detail=detail, pointer=prefix))
    return found


def lint_config(config: Config, catalogue: SurfaceCatalogue, now: datetime) -> list[Lint]:
    """The warnings about a config: kept but not acted on, without the data it needs, of no effect."""
    found = [
        Lint(
            code="NOT_YET_EFFECTIVE", detail=f"{name} is kept, but this release does not act on it.", pointer=f"/{name}"
        )
        for name in ("guard",)
        if getattr(config, name)
    ]
    own = config.surfaces or {}
    found += _section_lint(config, "")
    found += _signal_lint(config, catalogue, own)
    for surface, section in sorted(own.items()):
        found += _surface_lint(surface, catalogue, f"/surfaces/{surface}")
        found += _section_lint(section, f"/surfaces/{surface}")
        found += _surface_signal_lint(surface, section, catalogue)
    for at, experiment in enumerate(config.experiments or []):
        found += _experiment_lint(experiment, catalogue, now, f"/experiments/{at}")
    return found


def _section_lint(section: SurfaceConfig, pointer: str) -> Iterator[Lint]:
    weights = section.weights
    if weights is not None and not (weights.pop or weights.cooc or weights.emb):
        yield Lint(code="ALL_WEIGHTS_ZERO", detail="All zero counts as pop = 1.", pointer=f"{pointer}/weights")
    if (section.flags or {}).get("enable_rules") is False:
        where = "on this surface" if pointer else "on a surface that does not set it to true itself"
        detail = f"With enable_rules false no rule is in force {where}."
        yield Lint(code="RULES_OFF", detail=detail, pointer=f"{pointer}/flags/enable_rules")
    for flag in sorted((section.flags or {}).keys() - set(KNOWN_FLAGS)):
        yield Lint(code="UNKNOWN_FLAG", detail=f"Nothing asks for the flag {flag!r}.", pointer=f"{pointer}/flags")


def _signal_lint(config: Config, catalogue: SurfaceCatalogue, own: Mapping[str, SurfaceConfig]) -> Iterator[Lint]:
    """What the tenant's config needs and surfaces without a word of their ``own`` on it do not have."""
    for field, signal, without in _needs(config):
        having = catalogue.having(signal)
        spoken_for = {surface for surface, section in own.items() if getattr(section, field) is not None}
        lacking = sorted(surface for surface, has in having.items() if not has and surface not in spoken_for)
        if lacking or not having:
            who = f"These surfaces have none: {_named(lacking)}." if any(having.values()) else "No surface has one yet."
            yield _lacks(field, signal, without, who, "")


def _surface_signal_lint(surface: str, section: SurfaceConfig, catalogue: SurfaceCatalogue) -> Iterator[Lint]:
    for field, signal, without in _needs(section):
        if not catalogue.having(signal).get(surface, True):  # without any data, that is the warning
            yield _lacks(field, signal, without, "This surface has none yet.", f"/surfaces/{surface}")


def _needs(section: SurfaceConfig) -> Iterator[tuple[str, str, str]]:
    """Fields that do nothing without a signal that comes with artifacts: field, signal, what happens without it."""
    if section.exclude is not None and section.exclude.event_types:
        yield "exclude", "history", "nothing is excluded"
    signal = SOURCE_OF_MODE.get(section.algorithm) if section.algorithm else None
    if signal in _DATA:
        yield "algorithm", signal, "popularity takes its place"


def _lacks(field: str, signal: str, without: str, who: str, pointer: str) -> Lint:
    detail = f"{field} needs {_DATA[signal]}, which comes with artifacts. {who} Until then {without}."
    return Lint(code="SIGNAL_UNAVAILABLE", detail=detail, pointer=f"{pointer}/{field}")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def _rule_lint(rule: Rule, catalogue: SurfaceCatalogue, now: datetime, pointer: str) -> Iterator[Lint]:
    if not rule.enabled:
        yield Lint(code="RULE_DISABLED", detail="The rule is disabled.", pointer=f"{pointer}/enabled")
    yield from _window_lint(
        (rule.valid_from, f"{pointer}/valid_from"), (rule.valid_until, f"{pointer}/valid_until"), now
    )
    if rule.surface is not None and not catalogue.has_surface(rule.surface):
        yield from _surface_lint(rule.surface, catalogue, f"{pointer}/surface")
        return  # that none of its items is known there says nothing new
    yield from _target_lint(rule, catalogue, pointer)


def _experiment_lint(
    experiment: Experiment, catalogue: SurfaceCatalogue, now: datetime, pointer: str
) -> Iterator[Lint]:
    """Why an experiment has no subjects now."""
    if not experiment.traffic:
        yield Lint(code="NO_TRAFFIC", detail="With traffic 0 nobody takes part.", pointer=f"{pointer}/traffic")
    yield from _window_lint(
        (experiment.starts_at, f"{pointer}/starts_at"), (experiment.ends_at, f"{pointer}/ends_at"), now
    )
    if experiment.surface is not None:
        yield from _surface_lint(experiment.surface, catalogue, f"{pointer}/surface")


def _window_lint(
    opens: tuple[datetime | None, str], closes: tuple[datetime | None, str], now: datetime
) -> Iterator[Lint]:
    """Warnings about a window that is not open at ``now``; each end comes with its pointer."""
    (start, start_pointer), (end, end_pointer) = opens, closes
    if end is not None and end <= now:
        yield Lint(code="WINDOW_OVER", detail=f"The window ended at {end.isoformat()}.", pointer=end_pointer)
    if start is not None and now < start:
        yield Lint(code="WINDOW_NOT_OPEN", detail=f"The window opens at {start.isoformat()}.", pointer=start_pointer)


def _target_lint(rule: Rule, catalogue: SurfaceCatalogue, pointer: str) -> Iterator[Lint]:
    where = f"on the surface {rule.surface!r}" if rule.surface else "on any surface"
    unknown = [item_id for item_id in rule.target_items() if not catalogue.has_item(rule.surface, item_id)]
    if unknown:
        at = f"{pointer}/item_ids" if rule.item_ids else f"{pointer}/target_key"
        yield Lint(
            code="UNKNOWN_ITEM", detail=f"The {rule.action} names items unknown {where}: {_named(unknown)}.", pointer=at
        )
    tag = rule.target_tag()
    if tag is not None and not catalogue.count_tagged(rule.surface, tag):
        detail = f"No item {where} has the tag {tag!r}."
        yield Lint(code="UNKNOWN_TAG", detail=detail, pointer=f"{pointer}/target_key")


def _surface_lint(surface: str, catalogue: SurfaceCatalogue, pointer: str) -> Iterator[Lint]:
    if not catalogue.has_surface(surface):
        yield Lint(code="NO_DATA", detail=f"The surface {surface!r} has no data.", pointer=pointer)
