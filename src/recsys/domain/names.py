"""The shapes of names and numbers that several requests and documents share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

SURFACE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?!\n)$"
"""Surfaces and segments stand in paths and file names."""

EXTERNAL_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(?!\n)$"
UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$"
VERSION_PATTERN = r"^[0-9a-f]{64}(?!\n)$"
CURRENCY_PATTERN = r"^[A-Z]{3}(?!\n)$"

_LETTERS = "letters, digits, _, - and dots, the first a letter or digit"
FORMS = {
    SURFACE_PATTERN: f"at most 64 {_LETTERS}",
    EXTERNAL_ID_PATTERN: f"at most 128 {_LETTERS}",
    UUID_PATTERN: "a UUID",
    VERSION_PATTERN: "64 hexadecimal digits",
    CURRENCY_PATTERN: "three capital letters, EUR for example",
}
"""What people are told of a pattern."""

Surface = Annotated[str, Meta(pattern=SURFACE_PATTERN)]
Segment = Annotated[str, Meta(pattern=SURFACE_PATTERN)]
ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
Tag = Annotated[str, Meta(min_length=1, max_length=256)]
ShortText = Annotated[str, Meta(max_length=512)]
