"""Lint: what is valid about a document but may not do what its author expects, given the time and the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from recsys.domain.catalogue import Catalogue
from recsys.domain.config import KNOWN_FLAGS, Config, SurfaceConfig, read_config
from recsys.domain.document import CONFIG, RULES, DocumentRef, Lint
from recsys.domain.errors import InvalidRequest
from recsys.domain.rules import Rule, read_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from recsys.domain.canonical import Json

_ITEMS_NAMED = 5
_MOST_BLOCKED = 0.5
"""A larger share of a surface than this is more likely a mistake than merchandising."""


class SurfaceCatalogue(Catalogue, Protocol):
    """A catalogue that also knows which surfaces have data."""

    def has_surface(self, surface: str) -> bool:
        """Whether the surface has data."""

    def count_blocked(self, rules: Sequence[Rule], now: datetime) -> dict[str, tuple[int, int]]:
        """How many items of each surface these rules block at ``now``, and how many items it has."""


def lint(ref: DocumentRef, value: Json, catalogue: SurfaceCatalogue, now: datetime) -> list[Lint]:
    """The warnings about a document. One that today's code cannot read gives a single warning, never an error."""
    try:
        if ref.kind is CONFIG:
            return lint_config(read_config(value), catalogue)
        if ref.kind is RULES:
            prefix = "/rules" if isinstance(value, dict) else ""
            return lint_rules(read_rules(value), catalogue, now, prefix)
    except InvalidRequest as error:
        return [Lint(code="UNREADABLE", detail=f"This release cannot read the document: {error.detail}")]
    detail = "The manifest is kept and versioned, but this release serves from tables and reads no artifacts."
    return [
        Lint(code="NOT_YET_EFFECTIVE", detail=detail, pointer="/current"),
        *_surface_lint(ref.surface, catalogue, "/surface"),
    ]


def lint_rules(rules: Sequence[Rule], catalogue: SurfaceCatalogue, now: datetime, prefix: str = "") -> list[Lint]:
    """The warnings about rules; pointers begin with ``prefix``."""
    found = [each for at, rule in enumerate(rules) for each in _rule_lint(rule, catalogue, now, f"{prefix}/{at}")]
    for surface, (blocked, items) in catalogue.count_blocked(rules, now).items():
        if blocked > items * _MOST_BLOCKED:
            detail = f"These rules block {blocked:,} of the {items:,} items of the surface {surface!r}."
            found.append(Lint(code="MOSTLY_BLOCKED", detail=detail, pointer=prefix))
    return found


def lint_config(config: Config, catalogue: SurfaceCatalogue) -> list[Lint]:
    """The warnings about a config: accepted but not acted on yet, all weights zero, surfaces without data."""
    found = [
        Lint(
            code="NOT_YET_EFFECTIVE", detail=f"{name} is kept, but this release does not act on it.", pointer=f"/{name}"
        )
        for name in ("guard",)
        if getattr(config, name)
    ]
    found += _section_lint(config, "")
    for surface, section in sorted((config.surfaces or {}).items()):
        found += _surface_lint(surface, catalogue, f"/surfaces/{surface}")
        found += _section_lint(section, f"/surfaces/{surface}")
    return found


def _section_lint(section: SurfaceConfig, pointer: str) -> Iterator[Lint]:
    if section.exclude is not None and section.exclude.event_types:
        detail = "exclude is kept, but this release does not act on it."
        yield Lint(code="NOT_YET_EFFECTIVE", detail=detail, pointer=f"{pointer}/exclude")
    weights = section.weights
    if weights is not None and not (weights.pop or weights.cooc or weights.emb):
        yield Lint(code="ALL_WEIGHTS_ZERO", detail="All zero counts as pop = 1.", pointer=f"{pointer}/weights")
    for flag in sorted((section.flags or {}).keys() - set(KNOWN_FLAGS)):
        yield Lint(code="UNKNOWN_FLAG", detail=f"Nothing asks for the flag {flag!r}.", pointer=f"{pointer}/flags")
    if section.algorithm in ("implicit", "content_sim", "session_seq"):
        detail = f"{section.algorithm} needs artifacts; without them popularity takes its place."
        yield Lint(code="NOT_YET_EFFECTIVE", detail=detail, pointer=f"{pointer}/algorithm")


def _rule_lint(rule: Rule, catalogue: SurfaceCatalogue, now: datetime, pointer: str) -> Iterator[Lint]:
    if not rule.enabled:
        yield Lint(code="RULE_DISABLED", detail="The rule is disabled.", pointer=f"{pointer}/enabled")
    if rule.valid_until is not None and rule.valid_until <= now:
        detail = f"The window ended at {rule.valid_until.isoformat()}."
        yield Lint(code="WINDOW_OVER", detail=detail, pointer=f"{pointer}/valid_until")
    if rule.valid_from is not None and now < rule.valid_from:
        detail = f"The window opens at {rule.valid_from.isoformat()}."
        yield Lint(code="WINDOW_NOT_OPEN", detail=detail, pointer=f"{pointer}/valid_from")
    if rule.surface is not None and not catalogue.has_surface(rule.surface):
        yield from _surface_lint(rule.surface, catalogue, f"{pointer}/surface")
        return  # that none of its items is known there says nothing new
    yield from _target_lint(rule, catalogue, pointer)


def _target_lint(rule: Rule, catalogue: SurfaceCatalogue, pointer: str) -> Iterator[Lint]:
    where = f"on the surface {rule.surface!r}" if rule.surface else "on any surface"
    unknown = [item_id for item_id in rule.target_items() if not catalogue.has_item(rule.surface, item_id)]
    if unknown:
        named = ", ".join(unknown[:_ITEMS_NAMED]) + (" …" if len(unknown) > _ITEMS_NAMED else "")
        at = f"{pointer}/item_ids" if rule.item_ids else f"{pointer}/target_key"
        yield Lint(code="UNKNOWN_ITEM", detail=f"The {rule.action} names items unknown {where}: {named}.", pointer=at)
    tag = rule.target_tag()
    if tag is not None and not catalogue.count_tagged(rule.surface, tag):
        detail = f"No item {where} has the tag {tag!r}."
        yield Lint(code="UNKNOWN_TAG", detail=detail, pointer=f"{pointer}/target_key")


def _surface_lint(surface: str, catalogue: SurfaceCatalogue, pointer: str) -> Iterator[Lint]:
    if not catalogue.has_surface(surface):
        yield Lint(code="NO_DATA", detail=f"The surface {surface!r} has no data.", pointer=pointer)
