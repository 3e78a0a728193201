"""What to do about an error answer, by its code: the command to run next, ready to be copied."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

from recsys.domain.errors import Overloaded, VersionQuarantined
from recsys.domain.history import KNOWN_GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

    from recsys.domain.errors import RecsysError
    from recsys.domain.quarantine import QuarantinedVersion

IN_PROCESS = "in-process"
"""The host of the application in this process, where there is no service that could be asked how it is."""

_DOCUMENT = re.compile(r"/tenants/(?P<tenant>[^/]+)/(?P<name>config|rules|manifests)(?:/(?P<surface>[^/]+))?")
_TENANT = re.compile(r"/tenants/(?P<tenant>[^/]+)")

_ALWAYS = {
    "RECSYS_UNAUTHENTICATED": "Give a key: --api-key, or RECSYS_API_KEY in the environment.",
    "RECSYS_TENANT_NOT_FOUND": "See which tenants you have access to: recsys tenant list",
    "RECSYS_PAYLOAD_TOO_LARGE": "Its limit is RECSYS_MAX_BODY_BYTES, for bulk loads RECSYS_MAX_LOAD_BYTES.",
}
_FOR_TENANT = {
    "RECSYS_VERSION_QUARANTINED": "Just this once: the same command with --override-quarantine 'why'. "
    "All that is under quarantine: recsys quarantine -t {tenant}",
    "RECSYS_FROZEN": "Rollbacks are allowed. To allow changes and loads again: recsys tenant unfreeze {tenant}",
    "RECSYS_FORBIDDEN": "Who has the role admin can give a key: recsys api-key create -t {tenant} --role ROLE",
}
_FOR_DOCUMENT = {
    "RECSYS_VERSION_MISMATCH": "What they did: recsys {kind} diff {options} --from YOURS; recsys history -t {tenant}",
    "RECSYS_PRECONDITION_FAILED": "There is one already: recsys {kind} get {options}",
    "RECSYS_PRECONDITION_REQUIRED": "Read it first: recsys {kind} get {options} -o FILE, then put that file.",
    "RECSYS_CONFIG_NOT_FOUND": "Make the first one: recsys {kind} put {options} FILE",
    "RECSYS_RULES_NOT_FOUND": "Make the first ones: recsys {kind} put {options} FILE",
    "RECSYS_MANIFEST_NOT_FOUND": "Make the first one: recsys {kind} put {options} FILE",
}
_NO_LABEL = (
    "No revision is labelled yet: recsys history -t {tenant}, then recsys rollback -t {tenant} --revision N; "
    "label good ones with recsys label -t {tenant} N"
)
_REPEATABLE = re.compile(r"/(?:items|signals/[^/]+|cache/invalidate|v1/events)$")
"""Done twice, it is as if done once; and the ledger does not show it."""
_HELD = 'Try again in a moment. If it stays: docs/runbook.md, "A transaction left open", finds who holds it.'
_TIME = "A time is written like this: 2026-03-01T02:55:00Z"
_EMPTY = "If it is meant: the same command with --allow-empty"
_BOM = "The file begins with a byte order mark: save it as UTF-8 without a BOM."


def hints_for(response: httpx.Response) -> Iterator[str]:
    """The hints for one answer; none for an error that says enough."""
    problem = _object(response.content)
    code = problem.get("code", "")
    path = response.request.url.path
    if code in _ALWAYS:
        yield _ALWAYS[code]
    if response.status_code == 503 and code:
        yield from _not_ready(code, response.request)
    if found := _TENANT.search(path):
        yield from _for_tenant(problem, found["tenant"], response.request)
    elif code == "RECSYS_FORBIDDEN":
        yield _forbidden(problem, response.request)
    if code in _FOR_DOCUMENT and (document := _DOCUMENT.search(path)):
        yield _FOR_DOCUMENT[code].format(**_names(document))
    if response.status_code in (400, 422):
        yield from _about_input(problem, response.request)


def hints_without_answer(method: str, path: str) -> Iterator[str]:
    """The hints when a request was sent and nothing came back: whether to repeat it, or where to look first."""
    if method == "GET" or path == "/v1/recommend":
        yield "Try again."
    elif _REPEATABLE.search(path):
        yield "It is not known whether it was done. Do it again: nothing counts twice."
    else:
        yield f"It is not known whether the change was made. Look before you repeat it: {_shown_by(path)}"


def _shown_by(path: str) -> str:
    if found := _TENANT.search(path):
        return f"recsys audit -t {found['tenant']}"
    return "recsys api-key list --platform" if path.startswith("/v1/admin/api-keys") else "recsys tenant list"


def hints_for_job(error: RecsysError, tenant: str) -> Iterator[str]:
    """The hints for what a job on the database was refused, which sends no requests."""
    if isinstance(error, VersionQuarantined):
        yield "The same events and settings make the same artifacts: mend what went in, then run it again."
        versions: Sequence[QuarantinedVersion] = error.versions
        yield from (_lift(tenant, each.document, each.surface, each.version) for each in versions)
    elif isinstance(error, Overloaded):
        yield _HELD
    elif error.code in _ALWAYS:
        yield _ALWAYS[error.code]
    elif error.code in _FOR_TENANT:
        yield _FOR_TENANT[error.code].format(tenant=tenant)


def _lift(tenant: str, document: str, surface: str | None, version: str) -> str:
    where = f" --surface {surface}" if surface else ""
    return f"It is good after all: recsys {document} lift -t {tenant}{where} {version[:12]}"


def _forbidden(problem: dict[str, Any], request: httpx.Request) -> str:
    """What helps where no tenant stands in the path: on platform calls, and on serving calls."""
    if request.url.path.startswith("/v1/admin"):
        return "Who has the role platform can give a key: recsys api-key create --platform"
    tenant = request.headers.get("X-Org-Id", "TENANT")
    if problem.get("tenant_status") == "suspended":
        return f"Who has the role platform can let it be served again: recsys tenant resume {tenant}"
    return f"Who has the role admin can give a key: recsys api-key create -t {tenant} --role serving"


def _not_ready(code: str, request: httpx.Request) -> Iterator[str]:
    if request.url.path == "/v1/events":
        yield "Send the file again: nothing counts twice. What holds it up stands in the service's log."
        return
    if code == Overloaded.code:
        yield _HELD
        return
    if request.url.host == IN_PROCESS:
        yield "See how the database is: recsys migrate status --db …"
        return
    yield f"What it is waiting for: curl {request.url.copy_with(raw_path=b'/health/detailed')}"
    yield "To act now, work on its database: the same command with --db, or break glass (docs/runbook.md)."


def _for_tenant(problem: dict[str, Any], tenant: str, request: httpx.Request) -> Iterator[str]:
    code = problem.get("code", "")
    if code in _FOR_TENANT:
        yield _FOR_TENANT[code].format(tenant=tenant)
    for each in problem.get("quarantined", ()):
        yield _lift(tenant, each["document"], each["surface"], each["version"])
    if code != "RECSYS_VERSION_NOT_FOUND":
        return
    found = _DOCUMENT.search(request.url.path)
    if _object(request.content).get("to") == KNOWN_GOOD:
        yield _NO_LABEL.format(tenant=tenant)
    elif found:
        names = _names(found)
        yield "See what there is: recsys {kind} versions {options}, and recsys history -t {tenant}".format(**names)
    else:
        yield f"See what there is: recsys history -t {tenant}"


def _about_input(problem: dict[str, Any], request: httpx.Request) -> Iterator[str]:
    faults = [each for each in problem.get("errors", ()) if isinstance(each, dict)]
    if any(each.get("pointer") == "/at" or " parameter before:" in each.get("detail", "") for each in faults):
        yield _TIME
    if any("allow_empty=true" in each.get("detail", "") for each in faults):
        yield _EMPTY
    is_document = request.headers.get("Content-Type") == "application/json"  # rows may begin with one
    if is_document and request.content.startswith(codecs.BOM_UTF8):
        yield _BOM


def _names(found: re.Match[str]) -> dict[str, str]:
    surface = f" --surface {found['surface']}" if found["surface"] and found["name"] == "manifests" else ""
    return {
        "kind": found["name"].removesuffix("s") if found["name"] == "manifests" else found["name"],
        "options": f"-t {found['tenant']}{surface}",
        "tenant": found["tenant"],
    }


def _object(content: bytes) -> dict[str, Any]:
    """What JSON says, when it says an object."""
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
