"""The shapes of names and numbers that several requests and documents share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

SURFACE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?!\n)$"
"""Surfaces and segments stand in paths and file names: letters, digits, ``_``, ``-`` and inner dots, at most 64."""

EXTERNAL_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(?!\n)$"
UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$"
VERSION_PATTERN = r"^[0-9a-f]{64}(?!\n)$"

Surface = Annotated[str, Meta(pattern=SURFACE_PATTERN)]
Segment = Annotated[str, Meta(pattern=SURFACE_PATTERN)]
ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
Tag = Annotated[str, Meta(min_length=1, max_length=256)]
ShortText = Annotated[str, Meta(max_length=512)]
