"""What a body is said to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.domain.errors import UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Mapping


def media_type(headers: Mapping[bytes, bytes]) -> str | None:
    """The media type of a body without its parameters, lower-case; None when the client did not say."""
    sent = headers.get(b"content-type")
    return sent.partition(b";")[0].strip().lower().decode("latin-1") or None if sent is not None else None


def require_json(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that says it is something other than JSON; saying nothing is taken as JSON.

    Raises:
        UnsupportedMediaType: naming what was sent.
    """
    if headers.get(b"content-type") == b"application/json":  # as nearly everybody says it
        return
    said = media_type(headers)
    if said in (None, "application/json") or said.endswith("+json"):
        return
    raise UnsupportedMediaType(f"Send the body as application/json, not {said[:100]!r}.")
