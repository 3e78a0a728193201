"""``recsys config``, ``recsys rules`` and ``recsys manifest``: one factory, because the three share one mechanism."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.cli import views
from recsys.cli.command import Session, register
from recsys.cli.document import Document
from recsys.cli.options import Limit, OverrideQuarantine, Reason, Source, Surface, Tenant, require_one_line
from recsys.cli.put import Claim, override_header, put_document, reason_header
from recsys.cli.quarantine import lift, quarantine
from recsys.cli.roll_back import roll_document_back
from recsys.cli.sidecar import Start, sidecar_of, write_start
from recsys.cli.source import STDIN, read_source
from recsys.cli.written import write_file
from recsys.domain.document import DocumentKind

if TYPE_CHECKING:
    from collections.abc import Callable


def document_group(kind: DocumentKind) -> typer.Typer:
    """The commands of one kind of document; kinds kept per surface take ``--surface``."""
    app = typer.Typer(no_args_is_help=True, help=f"Read, change and roll back the {kind.name} of a tenant.")
    fixed: dict[str, object] = {"kind": kind} if kind.per_surface else {"kind": kind, "surface": ""}
    commands: dict[str, Callable[..., None]] = {
        "get": get,
        "put": put,
        "versions": versions,
        "diff": diff,
        "rollback": roll_document_back,
        "quarantine": quarantine,
        "lift": lift,
    }
    for name, function in commands.items():
        register(app, name, function, fixed=fixed)
    return app


def get(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    version: Annotated[
        str | None, typer.Option("--version", "-v", metavar="VERSION", help="A stored version (12 digits do).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there, with a note of what it is for `put`."),
    ] = None,
) -> None:
    """Show the current {document}, or a stored version of it.

    The document goes to standard output, what it is to standard error.
    """
    document = Document(kind, tenant, surface)
    path = document.path
    if version is not None:
        path += f"/versions/{document.whole_version(session.api, version)}"
    response = session.api.get(path)
    body = response.json()
    if output is not None:
        _write(document, body, output)
        put_it = f"recsys {kind.name} put {document.options} {shlex.quote(str(output))}"
        session.note(f"Written to {output}; edit it, then: {put_it}")
    if session.as_json:
        print(response.text)
        return
    facts = {name: value for name, value in body.items() if name != kind.name}
    facts["quarantined"] = views.why_quarantined(body.get("quarantined"))
    session.note(views.facts(facts.items()))
    if output is None:
        print(views.document(body[kind.name]))


def _write(document: Document, body: dict[str, Any], output: Path) -> None:
    write_file(output, views.document(body[document.kind.name]) + "\n")
    if "revision" in body:
        write_start(
            output, Start(body["tenant_id"], str(document), body[document.kind.version_field], body["revision"])
        )
    else:  # an old version is no state to start from: `put` compares with what is current
        sidecar_of(output).unlink(missing_ok=True)


def put(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    file: Source,
    *,
    reason: Reason = None,
    if_match: Annotated[
        str | None, typer.Option("--if-match", metavar="VERSION", help="Only if this version is current.")
    ] = None,
    if_revision: Annotated[
        int | None, typer.Option("--if-revision", metavar="N", help="Only if it last moved at this revision.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Whatever is current: overwrite it.")] = False,
    override_quarantine: OverrideQuarantine = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every replica serves it, and show them.")] = False,
) -> None:
    """Make the document in FILE the current {document}.

    Refused when somebody else changed it since `get -o FILE` (or, without that, since this command looked).
    """
    if force and (if_match is not None or if_revision is not None):
        raise typer.BadParameter("--force asks for nothing to be checked; --if-match and --if-revision do.")
    if if_match is not None:
        require_one_line("--if-match", if_match)
    document = Document(kind, tenant, surface)
    claim = Claim(None if file == STDIN else file, if_match, if_revision, force)
    reasons = reason_header(reason) | override_header(override_quarantine)
    put_document(session, document, read_source(file), claim, reasons, wait=wait)


def versions(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    limit: Limit = 20,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Older than this: `next_before` of the last answer.")
    ] = None,
) -> None:
    """List the stored versions of the {document}, newest first."""
    path = Document(kind, tenant, surface).path
    session.answer(session.api.get(f"{path}/versions", limit=limit, before=before), views.versions)


def diff(
    session: Session,
    kind: DocumentKind,
    tenant: Tenant,
    surface: Surface,
    from_: Annotated[str, typer.Option("--from", metavar="VERSION", help="The old side (12 digits do).")],
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="The new side.")] = "current",
) -> None:
    """Show what differs between two versions of the {document}."""
    document = Document(kind, tenant, surface)
    sides = {name: document.whole_version(session.api, side) for name, side in (("from", from_), ("to", to))}
    session.answer(session.api.request("GET", f"{document.path}/diff", params=sides), views.differences)
