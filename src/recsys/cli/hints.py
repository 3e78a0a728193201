"""What to do about an error answer, by its code: the command to run next, ready to be copied."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_DOCUMENT = re.compile(r"/tenants/(?P<tenant>[^/]+)/(?P<name>config|rules|manifests)(?:/(?P<surface>[^/]+))?")
_TENANT = re.compile(r"/tenants/(?P<tenant>[^/]+)")

_ALWAYS = {
    "RECSYS_UNAUTHENTICATED": "Give a key: --api-key, or RECSYS_API_KEY in the environment.",
    "RECSYS_TENANT_NOT_FOUND": "See which tenants you have access to: recsys tenant list",
    "RECSYS_OVERLOADED": "Try again in a moment.",
    "RECSYS_NOT_READY": "Ask the service how it is: curl …/readyz; the database itself: recsys migrate status --db …",
}
_FOR_TENANT = {
    "RECSYS_FROZEN": "Roll back, or allow changes again: recsys tenant unfreeze {tenant}",
}
_FOR_DOCUMENT = {
    "RECSYS_VERSION_MISMATCH": "What they did: recsys {kind} diff {options} --from YOURS; recsys history -t {tenant}",
    "RECSYS_PRECONDITION_FAILED": "There is one already: recsys {kind} get {options}",
    "RECSYS_PRECONDITION_REQUIRED": "Read it first: recsys {kind} get {options} -o FILE, then put that file.",
    "RECSYS_VERSION_NOT_FOUND": "See what there is: recsys {kind} versions {options}, and recsys history -t {tenant}",
}


def hints_for(response: httpx.Response) -> Iterator[str]:
    """The hints for one answer; none for an error that says enough."""
    try:
        code = response.json().get("code", "")
    except (ValueError, AttributeError):
        return
    path = response.request.url.path
    if code in _ALWAYS:
        yield _ALWAYS[code]
    if code in _FOR_TENANT and (found := _TENANT.search(path)):
        yield _FOR_TENANT[code].format(tenant=found["tenant"])
    if code in _FOR_DOCUMENT and (found := _DOCUMENT.search(path)):
        surface = f" --surface {found['surface']}" if found["surface"] and found["name"] == "manifests" else ""
        yield _FOR_DOCUMENT[code].format(
            kind=found["name"].removesuffix("s") if surface else found["name"],
            options=f"-t {found['tenant']}{surface}",
            tenant=found["tenant"],
        )
