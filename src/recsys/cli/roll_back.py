"""``rollback`` of one document, and of a whole tenant: no questions asked, and an exact account of what moved."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group

from recsys.cli import views
from recsys.cli.command import Session
from recsys.cli.document import Document, tenant_path
from recsys.cli.options import NoWait, OverrideQuarantine, Reason, Surface, Tenant, require_one_line
from recsys.cli.put import moved, override_header
from recsys.cli.replicas import receipt
from recsys.domain.document import DocumentKind
from recsys.domain.history import KNOWN_GOOD

Revision = Annotated[
    int | None, typer.Option("--revision", "-r", metavar="N", help="As it was at this revision (see `recsys history`).")
]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="As it was then: RFC 3339, `2026-03-01T02:55:00Z`.")
]

Quarantine = Annotated[
    bool, typer.Option("--quarantine", help="What is moved away from is bad: put it under quarantine.")
]


def roll_document_back(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="A version (12 digits do), or `known_good`.")
    ] = None,
    revision: Revision = None,
    at: At = None,
    audit_id: Annotated[
        int | None, typer.Option("--audit-id", metavar="N", help="As it was before this audit entry.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=1, help="As it was so many moves of this document ago.")
    ] = None,
    reason: Reason = None,
    quarantine: Quarantine = False,
    override_quarantine: OverrideQuarantine = None,
    force: Annotated[bool, typer.Option("--force", help="Do not look first: whatever is current.")] = False,
    no_wait: NoWait = False,
) -> None:
    """Bring an earlier version of the {document} back, and show which replicas serve it.

    Give exactly one of --to, --revision, --at, --audit-id and --steps.
    """
    body = _one_of(to=to, revision=revision, at=at, audit_id=audit_id, steps=steps)
    if force and steps is not None:
        raise typer.BadParameter("--steps counts from what is current, so it cannot go with --force.")
    body = _with_reason(body, reason, quarantine=quarantine)
    overriding = override_header(override_quarantine)
    document = Document(kind, tenant, surface)
    if to is not None:
        body["to"] = document.whole_version(session.api, to)
    before = None if force else document.current(session.api)
    headers = overriding if force else overriding | {"If-Revision": str(before["revision"] if before else 0)}
    response = session.api.request(
        "POST", f"{document.path}/rollback", json=body, headers=headers, params=_waiting(no_wait=no_wait)
    )
    session.answer(
        response,
        lambda answer: Group(
            moved(document, before, answer), *map(views.warning, answer.get("warnings", ())), *receipt(answer)
        ),
    )


def roll_tenant_back(
    session: Session,
    tenant: Tenant,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="known_good", help="The latest revision labelled `known_good`.")
    ] = None,
    revision: Revision = None,
    at: At = None,
    reason: Reason = None,
    quarantine: Quarantine = False,
    override_quarantine: OverrideQuarantine = None,
    no_wait: NoWait = False,
) -> None:
    """Bring config, rules and manifests back together, at one new revision, and show which replicas serve it.

    Give exactly one of --to, --revision and --at.
    """
    if to not in (None, KNOWN_GOOD):
        raise typer.BadParameter(
            f"--to takes {KNOWN_GOOD}; one document goes to a version with `recsys config rollback`."
        )
    body = _with_reason(_one_of(to=to, revision=revision, at=at), reason, quarantine=quarantine)
    headers, path = override_header(override_quarantine), f"{tenant_path(tenant)}/rollback"
    response = session.api.request("POST", path, json=body, headers=headers, params=_waiting(no_wait=no_wait))
    session.answer(response, lambda answer: Group(views.moves(answer), *receipt(answer)))


def _one_of(**choices: object) -> dict[str, Any]:
    given = {name: value for name, value in choices.items() if value is not None}
    if len(given) != 1:
        names = ", ".join("--" + name.replace("_", "-") for name in choices)
        raise typer.BadParameter(f"Say where to go back to with exactly one of {names}.")
    return given


def _waiting(*, no_wait: bool) -> dict[str, object]:
    return {"wait": "none"} if no_wait else {}


def _with_reason(body: dict[str, Any], reason: str | None, *, quarantine: bool) -> dict[str, Any]:
    if quarantine:
        body = {**body, "quarantine": True}
    if reason is None:
        return body
    require_one_line("--reason", reason)
    return {**body, "reason": reason}
