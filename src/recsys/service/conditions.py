"""What a change may be sent with: preconditions and an idempotency key."""

from __future__ import annotations

import re
from typing import Annotated

from litestar.di import Provide
from litestar.params import HeaderParameter

from recsys.domain.errors import InvalidRequest
from recsys.domain.precondition import Preconditions, read_preconditions
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, AnyRequest, Given


def preconditions_of(
    request: AnyRequest,
    tenant: Given[Tenant],  # noqa: ARG001 - judged first, so that strangers learn nothing
    # Several lines of it are one list, of which Litestar gives the last line only.
    if_match: Annotated[  # noqa: ARG001 - here to be documented
        str | None, HeaderParameter(name="If-Match", description="The version you started from.")
    ] = None,
    if_revision: Annotated[str | None, HeaderParameter(name="If-Revision", description="Its revision.")] = None,
    if_none_match: Annotated[str | None, HeaderParameter(name="If-None-Match", description="`*`: create only.")] = None,
) -> Preconditions:
    """The preconditions in the headers; ``If-Match`` may stand on several lines."""
    return read_preconditions(request.headers.getall("if-match", []), if_revision, if_none_match)


def idempotency_key_of(
    tenant: Given[Tenant],  # noqa: ARG001 - judged first, so that strangers learn nothing
    key: Annotated[
        str | None,
        HeaderParameter(name="Idempotency-Key", description="A repeated request with the same key changes nothing."),
    ] = None,
) -> str | None:
    """The key, when there is one.

    Raises:
        InvalidRequest: longer than 255 characters or not printable.
    """
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise InvalidRequest("Idempotency-Key has 1 to 255 printable ASCII characters.")
    return key


CONDITIONS = {
    **IN_TENANT,
    "preconditions": Provide(preconditions_of, sync_to_thread=False),
    "idempotency_key": Provide(idempotency_key_of, sync_to_thread=False),
}
"""Dependencies of routes below a tenant that change it."""
