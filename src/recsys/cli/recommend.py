"""``recsys recommend``: what does this tenant get right now? One request, for a look at any hour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.cli import views
from recsys.cli.command import Session
from recsys.cli.options import Surface, Tenant, require_one_line
from recsys.cli.source import read_source

ANONYMOUS = "recsys-cli"


def recommend(
    session: Session,
    tenant: Tenant,
    *,
    surface: Surface = "home",
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many items.")] = 10,
    segment: Annotated[str | None, typer.Option("--segment", metavar="SEGMENT", help="Default: `default`.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="For this user id.")] = None,
    anchor: Annotated[
        list[str] | None, typer.Option("--anchor", metavar="ITEM", help="What the user looks at; repeat, oldest first.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each item is there.")] = False,
    why_not: Annotated[
        str | None, typer.Option("--why-not", metavar="ITEM", help="Say where this item fell out, or its rank.")
    ] = None,
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE", help="Send this request instead; `-` reads standard input.")
    ] = None,
) -> None:
    """Ask for recommendations, and show the list with the versions that produced it.

    A key opens its own tenant only; another one is refused.
    """
    if body is not None:
        content = read_source(body)
    else:
        content = json.dumps(
            _request(surface, k, segment, user, anchor or [], _options(explain=explain, why_not=why_not))
        ).encode()
    require_one_line("--tenant", tenant)
    headers = {"Content-Type": "application/json", "X-Org-Id": tenant}
    response = session.api.request("POST", "/v1/recommend", content=content, headers=headers)
    session.answer(response, lambda answer: views.recommendation(answer, tenant))


def _request(
    surface: str, k: int, segment: str | None, user: str | None, anchors: list[str], options: dict[str, Any]
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "surface": surface,
        "k": k,
        "user": {"user_id": user} if user else {"anonymous_id": ANONYMOUS},
    }
    if segment is not None:
        request["segment"] = segment
    if anchors:
        request["anchors"] = {"item_ids": anchors}
    if options:
        request["options"] = options
    return request


def _options(*, explain: bool, why_not: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"explain": "summary", "include_reasons": True} if explain else {}
    return options if why_not is None else options | {"explain_item": why_not}
