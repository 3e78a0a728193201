"""``quarantine`` and ``lift`` of one version, and ``recsys quarantine``: what is under quarantine."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli import views
from recsys.cli.command import Session
from recsys.cli.document import Document, tenant_path
from recsys.cli.options import Reason, Surface, Tenant
from recsys.cli.put import reason_header
from recsys.domain.document import DocumentKind

Version = Annotated[str, typer.Argument(metavar="VERSION", help="A stored version (12 digits do).")]


def quarantine(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    version: Version,
    reason: Annotated[
        str, typer.Option("--reason", "-m", metavar="TEXT", help="What is wrong with it; whoever wants it is told.")
    ],
) -> None:
    """Mark a version of the {document} as bad: it comes back only with --override-quarantine, or once that is lifted.

    What is current stays live; `rollback --quarantine` moves away from it and marks it in one go.
    """
    path = _path(session, Document(kind, tenant, surface), version)
    session.answer(session.api.request("POST", path, json={"reason": reason}), views.quarantine)


def lift(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    version: Version,
    reason: Reason = None,
) -> None:
    """Lift the quarantine of a version of the {document}: it is like any other again."""
    path = _path(session, Document(kind, tenant, surface), version)
    session.answer(session.api.request("DELETE", path, headers=reason_header(reason)), views.quarantine)


def list_quarantined(session: Session, tenant: Tenant) -> None:
    """List every version that is under quarantine, latest first, with who put it there and why."""
    session.answer(session.api.get(f"{tenant_path(tenant)}/quarantine"), views.quarantined)


def _path(session: Session, document: Document, version: str) -> str:
    return f"{document.path}/versions/{document.whole_version(session.api, version)}/quarantine"
