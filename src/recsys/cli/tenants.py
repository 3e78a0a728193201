"""``recsys tenant``: create, look, freeze and suspend."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from recsys.cli import views
from recsys.cli.command import Session, register
from recsys.cli.document import tenant_path
from recsys.cli.options import Limit, Reason
from recsys.cli.put import reason_header

Name = Annotated[
    str, typer.Argument(metavar="TENANT", envvar="RECSYS_TENANT", help="External id or UUID of the tenant.")
]


def tenant_group() -> typer.Typer:
    """The commands about tenants."""
    app = typer.Typer(no_args_is_help=True, help="Tenants: the boundary for data, configuration and access.")
    register(app, "create", create)
    register(app, "list", list_tenants)
    register(app, "show", show)
    register(app, "freeze", freeze)
    register(app, "unfreeze", unfreeze)
    return app


def create(
    session: Session,
    external_id: Annotated[
        str, typer.Argument(metavar="EXTERNAL_ID", help="What you call it: letters, digits, `_.-`.")
    ],
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A name for people.")] = None,
) -> None:
    """Create a tenant."""
    body = {"external_id": external_id} | ({} if name is None else {"name": name})
    session.answer(session.api.request("POST", "/v1/admin/tenants", json=body), views.tenant)


def list_tenants(
    session: Session,
    limit: Limit = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="EXTERNAL_ID", help="Go on after this one: `next_after`.")
    ] = None,
) -> None:
    """List the tenants that you have access to, by external id."""
    session.answer(session.api.get("/v1/admin/tenants", limit=limit, after=after), views.tenants)


def show(session: Session, tenant: Name) -> None:
    """Show one tenant: its status, settings and revisions."""
    session.answer(session.api.get(tenant_path(tenant)), views.tenant)


def freeze(session: Session, tenant: Name, reason: Reason = None) -> None:
    """Refuse changes of documents from now on; rollbacks stay allowed."""
    _settings(session, tenant, {"frozen": True}, reason)


def unfreeze(session: Session, tenant: Name, reason: Reason = None) -> None:
    """Allow changes of documents again."""
    _settings(session, tenant, {"frozen": False}, reason)


def _settings(session: Session, tenant: str, settings: dict[str, Any], reason: str | None) -> None:
    response = session.api.request("PATCH", tenant_path(tenant), json=settings, headers=reason_header(reason))
    session.answer(response, views.tenant)
