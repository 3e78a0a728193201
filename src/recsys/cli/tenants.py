"""``recsys tenant``: create, look, freeze, suspend and set."""

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
    register(app, "suspend", suspend)
    register(app, "resume", resume)
    register(app, "set", set_settings)
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
    """Refuse changes of documents and bulk loads from now on; rollbacks stay allowed."""
    _settings(session, tenant, {"frozen": True}, reason)


def unfreeze(session: Session, tenant: Name, reason: Reason = None) -> None:
    """Allow changes of documents and bulk loads again."""
    _settings(session, tenant, {"frozen": False}, reason)


def suspend(session: Session, tenant: Name, reason: Reason = None) -> None:
    """Refuse to serve the tenant from now on (403); its documents can still be read and changed. Role platform."""
    _settings(session, tenant, {"status": "suspended"}, reason)


def resume(session: Session, tenant: Name, reason: Reason = None) -> None:
    """Serve a suspended tenant again. Role platform."""
    _settings(session, tenant, {"status": "active"}, reason)


def set_settings(
    session: Session,
    tenant: Name,
    *,
    require_if_match: Annotated[
        bool | None,
        typer.Option(
            "--require-if-match/--no-require-if-match",
            help="Whether every change has to say what it starts from, by If-Match or If-Revision (else 428).",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A name for people.")] = None,
    reason: Reason = None,
) -> None:
    """Change settings of a tenant. What is not given stays as it is."""
    given = {"require_if_match": require_if_match, "name": name}
    wished = {setting: value for setting, value in given.items() if value is not None}
    if not wished:
        raise typer.BadParameter("Say what to change: --require-if-match, --no-require-if-match or --name TEXT.")
    _settings(session, tenant, wished, reason)


def _settings(session: Session, tenant: str, settings: dict[str, Any], reason: str | None) -> None:
    response = session.api.request("PATCH", tenant_path(tenant), json=settings, headers=reason_header(reason))
    session.answer(response, views.tenant)
