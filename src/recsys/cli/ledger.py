"""``recsys history``, ``recsys label`` and ``recsys audit``: what happened, who did it, and which state was good."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli import views
from recsys.cli.command import Session
from recsys.cli.document import tenant_path
from recsys.cli.options import Limit, Reason, Tenant
from recsys.cli.put import reason_header
from recsys.domain.history import KNOWN_GOOD

Revision = Annotated[int, typer.Argument(metavar="REVISION", help="A revision, as `recsys history` shows it.")]
Label = Annotated[str, typer.Argument(metavar="[LABEL]", help="The label.")]


def history(
    session: Session,
    tenant: Tenant,
    limit: Limit = 20,
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", help="Older than this revision: `next_before`.")
    ] = None,
) -> None:
    """Show the ledger: one line per revision, newest first, with the versions that were current after it."""
    session.answer(session.api.get(f"{tenant_path(tenant)}/history", limit=limit, before=before), views.history)


def label(
    session: Session,
    tenant: Tenant,
    revision: Revision,
    name: Label = KNOWN_GOOD,
    reason: Reason = None,
) -> None:
    """Mark a revision as known to be good, so that `recsys rollback --to known_good` finds it at any hour."""
    _label(session, "PUT", tenant, revision, name, reason)


def unlabel(
    session: Session,
    tenant: Tenant,
    revision: Revision,
    name: Label = KNOWN_GOOD,
    reason: Reason = None,
) -> None:
    """Take the label off a revision again; `recsys rollback --to known_good` does not find it any more."""
    _label(session, "DELETE", tenant, revision, name, reason)


def _label(session: Session, method: str, tenant: str, revision: int, name: str, reason: str | None) -> None:
    if name != KNOWN_GOOD:
        raise typer.BadParameter(f"There is one label: {KNOWN_GOOD}.")
    path = f"{tenant_path(tenant)}/history/{revision}/labels/{name}"
    response = session.api.request(method, path, headers=reason_header(reason))
    session.answer(response, lambda entry: views.labelled(entry, tenant))


def audit(
    session: Session,
    tenant: Tenant,
    limit: Limit = 20,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Older than this: `next_before` of the last answer.")
    ] = None,
    before_id: Annotated[
        int | None, typer.Option("--before-id", metavar="N", help="Goes with --before: `next_before_id`.")
    ] = None,
) -> None:
    """Show the audit log, newest first; the states before and after are in --json."""
    path = f"{tenant_path(tenant)}/audit"
    session.answer(session.api.get(path, limit=limit, before=before, before_id=before_id), views.audit)
