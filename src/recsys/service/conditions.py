"""What a change may be sent with: preconditions, an idempotency key, and a reason to disregard a quarantine."""

from __future__ import annotations

import re
from typing import Annotated

from litestar.di import Provide
from litestar.params import HeaderParameter

from recsys.domain.errors import InvalidRequest
from recsys.domain.precondition import Preconditions, read_preconditions
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_KNOWN_TENANT, AnyRequest, Given
from recsys.service.reason import OVERRIDE_QUARANTINE, bad_reason, read_reason


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


def override_of(
    request: AnyRequest,
    tenant: Given[Tenant],  # noqa: ARG001 - judged first, so that strangers learn nothing
    # Litestar reads headers as Latin-1; people write their reasons in UTF-8.
    sent: Annotated[  # noqa: ARG001 - here to be documented
        str | None,
        HeaderParameter(
            name=OVERRIDE_QUARANTINE,
            description="Why a version under quarantine is to be applied all the same; goes into the audit log.",
        ),
    ] = None,
) -> str | None:
    """Why a quarantine does not count this time; None when the header was not sent.

    Raises:
        InvalidRequest: it was sent without saying why.
    """
    reason = read_reason(dict(request.scope["headers"]), OVERRIDE_QUARANTINE)
    if reason == "":
        raise bad_reason(OVERRIDE_QUARANTINE, "says why a version under quarantine is to be applied; it is empty")
    return reason


CONDITIONS = {
    **IN_KNOWN_TENANT,
    "preconditions": Provide(preconditions_of, sync_to_thread=False),
    "idempotency_key": Provide(idempotency_key_of, sync_to_thread=False),
    "override": Provide(override_of, sync_to_thread=False),
}
"""Dependencies of routes below a tenant that change it."""
