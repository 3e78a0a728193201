"""The rules document: merchandising instructions, in document order."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from recsys.domain.errors import Fault, InvalidRequest
from recsys.domain.names import ItemId, Segment, ShortText, Surface, Tag
from recsys.domain.validation import MOST_FAULTS, convert, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys.domain.canonical import Json

Action = Literal["block", "pin", "boost"]
TargetType = Literal["item", "tag", "brand", "category"]

KEY_ALIASES = {"namespace": "surface"}
VALUE_ALIASES: dict[str, dict[str, str]] = {
    "action": {"promote": "boost", "exclude": "block", "hide": "block"},
    "target_type": {"label": "tag", "product": "item"},
}
"""Understood on reading; the stored document stays what was sent."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instruction. The window is half-open: in force from ``valid_from`` until just before ``valid_until``."""

    action: Action
    target_type: TargetType
    target_key: Tag | None = None
    item_ids: Annotated[list[ItemId], Meta(max_length=5_000)] | None = None
    id: ShortText | None = None
    name: ShortText | None = None
    surface: Surface | None = None
    segment: Segment | None = None
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    enabled: bool = True
    valid_from: Annotated[datetime, Meta(tz=True)] | None = None
    valid_until: Annotated[datetime, Meta(tz=True)] | None = None
    boost_value: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    max_pins: Annotated[int, Meta(ge=1, le=200)] | None = None

    def target_items(self) -> list[str]:
        """The item ids this rule names (none for tag, brand and category targets), in its order."""
        if self.target_type != "item":
            return []
        return list(
            dict.fromkeys(
                [
                    *([self.target_key] if self.target_key else []),
                    *(self.item_ids or []),
                ]
            )
        )

    def target_tag(self) -> str | None:
        """The tag this rule names: a brand or category is the tag ``brand:…`` or ``category:…``."""
        if self.target_type == "item" or self.target_key is None:
            return None
        prefix = f"{self.target_type}:"
        bare = self.target_type == "tag" or self.target_key.startswith(prefix)
        return self.target_key if bare else prefix + self.target_key

    def in_force(self, now: datetime) -> bool:
        """Whether the rule is enabled and its window holds ``now``."""
        started = self.valid_from is None or self.valid_from <= now
        return self.enabled and started and (self.valid_until is None or now < self.valid_until)


class RulesEnvelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The other form in which rules may be sent; see :func:`without_envelope`."""

    rules: list[Rule]


def read_rules(value: Json) -> list[Rule]:
    """Turn a rules document (an array, or an envelope with ``rules``) into typed rules, in document order.

    Raises:
        InvalidRequest: for a document that :func:`rules_faults` finds fault with.
    """
    if found := list(islice(rules_faults(value), MOST_FAULTS)):
        raise InvalidRequest(faults=found)
    return convert([_without_aliases(rule) for _, rule in _entries(value)], list[Rule])


def without_envelope(value: Json) -> Json:
    """The array of a rules document that was sent as ``{"rules": […]}``; anything else as it is."""
    if isinstance(value, dict) and value.keys() == {"rules"} and isinstance(value["rules"], list):
        return value["rules"]
    return value


def rules_faults(value: Json) -> Iterator[Fault]:
    """What is ill-formed about a rules document: the shape, unknown keys, unknown actions."""
    if isinstance(value, dict):
        yield from faults(value | {"rules": []} if _entries(value) else value, RulesEnvelope)
    elif not isinstance(value, list):
        yield Fault("", 'Expected an array of rules, or an object {"rules": […]}.')
    for pointer, rule in _entries(value):
        if isinstance(rule, dict):
            yield from _doubled(pointer, rule)
        for fault in faults(_without_aliases(rule), Rule):
            yield msgspec.structs.replace(fault, pointer=pointer + _with_alias(fault.pointer, rule))


def rules_mistakes(value: Json) -> Iterator[Fault]:
    """What is wrong in meaning about a well-formed rules document: targets, windows, keys of another action."""
    for (pointer, _), rule in zip(_entries(value), read_rules(value), strict=True):
        yield from (Fault(pointer + at, detail) for at, detail in _mistakes(rule))


def _mistakes(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.target_type == "item" and not rule.target_items():
        yield "", "A rule needs a target: give target_key or item_ids."
    if rule.target_type != "item" and rule.target_key is None:
        yield "", f"A rule needs a target: give target_key, the {rule.target_type}."
    if rule.target_type != "item" and rule.item_ids is not None:
        yield "/item_ids", f"item_ids go with target_type item, not {rule.target_type}."
    if rule.valid_from and rule.valid_until and rule.valid_until <= rule.valid_from:
        yield (
            "/valid_until",
            "The window is empty: valid_until must be later than valid_from.",
        )
    if rule.action == "boost" and rule.boost_value is None:
        yield "", "A boost needs boost_value."
    if rule.action != "boost" and rule.boost_value is not None:
        yield "/boost_value", f"boost_value goes with action boost, not {rule.action}."
    if rule.action != "pin" and rule.max_pins is not None:
        yield "/max_pins", f"max_pins goes with action pin, not {rule.action}."


def _entries(value: Json) -> list[tuple[str, Json]]:
    rules, prefix = (value.get("rules"), "/rules") if isinstance(value, dict) else (value, "")
    return [(f"{prefix}/{index}", rule) for index, rule in enumerate(rules)] if isinstance(rules, list) else []


def _doubled(pointer: str, rule: dict[str, Json]) -> Iterator[Fault]:
    for alias, name in KEY_ALIASES.items():
        if alias in rule and name in rule:
            yield Fault(
                f"{pointer}/{alias}",
                f"{alias} is another name of {name}: give one of them.",
            )


def _without_aliases(rule: Json) -> Json:
    if not isinstance(rule, dict):
        return rule
    renamed = {KEY_ALIASES.get(key, key): item for key, item in rule.items()}
    for key, aliases in VALUE_ALIASES.items():
        if isinstance(said := renamed.get(key), str):
            renamed[key] = aliases.get(said, said)
    return renamed


def _with_alias(pointer: str, rule: Json) -> str:
    """Turn a pointer into the renamed rule back into one into the rule as sent."""
    for alias, name in KEY_ALIASES.items():
        if pointer == f"/{name}" and isinstance(rule, dict) and alias in rule:
            return f"/{alias}"
    return pointer
