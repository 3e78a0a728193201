"""The commands of ``recsys``, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from recsys.cli.api_keys import api_key_group
from recsys.cli.artifacts import artifacts_group
from recsys.cli.command import register
from recsys.cli.documents import document_group
from recsys.cli.events import events_group
from recsys.cli.ledger import audit, history, label, unlabel
from recsys.cli.loads import invalidate, items_group, signals_group
from recsys.cli.operations import migrate_group, serve, version
from recsys.cli.pipelines import pipelines_group
from recsys.cli.quarantine import list_quarantined
from recsys.cli.recommend import recommend
from recsys.cli.replicas import replicas
from recsys.cli.roll_back import roll_tenant_back
from recsys.cli.status import status
from recsys.cli.tenants import tenant_group
from recsys.demo.command import demo_command
from recsys.domain.document import KINDS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import httpx

_SERVICE, _LOOK, _CHANGE, _ADMIN = "Run it", "Look", "Change and roll back", "Tenants, keys and data"


def build_app() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="recsys",
        help="RecSys: recommendations in which every answer names the versions that produced it.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,  # `main` has the last word on an error
    )
    app.command(rich_help_panel=_SERVICE)(serve)
    app.add_typer(migrate_group(), name="migrate", rich_help_panel=_SERVICE)
    app.command("demo", rich_help_panel=_SERVICE)(demo_command(_open_app))
    app.command(rich_help_panel=_SERVICE)(version)
    register(app, "recommend", recommend, panel=_LOOK, serving=True)
    register(app, "history", history, panel=_LOOK)
    register(app, "audit", audit, panel=_LOOK)
    register(app, "quarantine", list_quarantined, panel=_LOOK)
    register(app, "replicas", replicas, panel=_LOOK)
    register(app, "status", status, panel=_LOOK)
    for name, kind in KINDS.items():
        app.add_typer(document_group(kind), name=name, rich_help_panel=_CHANGE)
    register(app, "rollback", roll_tenant_back, panel=_CHANGE)
    register(app, "label", label, panel=_CHANGE)
    register(app, "unlabel", unlabel, panel=_CHANGE)
    register(app, "invalidate", invalidate, panel=_CHANGE)
    app.add_typer(tenant_group(), name="tenant", rich_help_panel=_ADMIN)
    app.add_typer(api_key_group(), name="api-key", rich_help_panel=_ADMIN)
    app.add_typer(items_group(), name="items", rich_help_panel=_ADMIN)
    app.add_typer(signals_group(), name="signals", rich_help_panel=_ADMIN)
    app.add_typer(artifacts_group(), name="artifacts", rich_help_panel=_ADMIN)
    app.add_typer(events_group(), name="events", rich_help_panel=_ADMIN)
    app.add_typer(pipelines_group(), name="pipelines", rich_help_panel=_ADMIN)
    return app


def _open_app(db: str) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    from recsys.cli.in_process import in_process_client

    return in_process_client(db)
