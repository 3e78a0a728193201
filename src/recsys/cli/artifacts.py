"""``recsys artifacts``: what is stored, where it comes from, serving a surface from files, and collecting garbage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer
from rich.console import Group
from rich.text import Text

from recsys.cli import views
from recsys.cli.artifact_store import Store, open_blobs
from recsys.cli.collect_garbage import collect
from recsys.cli.command import Session, console, register
from recsys.cli.document import Document, tenant_path
from recsys.cli.failure import Failure, Misused
from recsys.cli.options import OverrideQuarantine, Reason, Surface, Tenant
from recsys.cli.put import Claim, override_header, put_document, reason_header
from recsys.cli.source import read_source
from recsys.domain.artifact import BLOB_SUFFIX, Address
from recsys.domain.document import MANIFEST
from recsys.domain.manifest import ArtifactKind, make_manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from recsys.control.collect_garbage import Stored

_KINDS: dict[str, ArtifactKind] = {kind: kind for kind in get_args(ArtifactKind)}


def artifacts_group() -> typer.Typer:
    """The commands about artifacts."""
    app = typer.Typer(
        no_args_is_help=True,
        help="Artifacts: files that each hold one signal of a surface. RECSYS_ARTIFACTS names their store.",
    )
    register(app, "list", list_artifacts)
    register(app, "show", show)
    register(app, "publish", publish)
    app.command("gc")(collect)
    return app


def list_artifacts(session: Session, tenant: Tenant, surface: Surface) -> None:
    """List what is stored for a surface, and which of it the current manifest names."""
    store = Store(open_blobs(session.api.target.db))
    stored = _stored(session, store, tenant, surface)
    current = _current(session, Document(MANIFEST, tenant, surface))
    if session.as_json:
        print(json.dumps({"artifacts": [_facts(each, current) for each in stored]}))
        return
    cells = [
        (facts["kind"], views.short(facts["sha256"]), "current" if facts["current"] else "", facts["size_bytes"],
         views.moment(facts["stored_at"]))
        for facts in (_facts(each, current) for each in stored)
    ]  # fmt: skip
    columns = ("kind", "sha256", "", "bytes", "stored")
    console().print(views.rows(columns, cells, f"Nothing is stored for {tenant} {surface}."), soft_wrap=True)


def show(
    session: Session,
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="Which artifact: its hash (12 digits do), or URI.")],
    tenant: Tenant,
    surface: Surface,
) -> None:
    """Show where an artifact comes from, and check it: its hash, its format, all that it holds."""
    store = Store(open_blobs(session.api.target.db))
    document = Document(MANIFEST, tenant, surface)
    address = _find(_stored(session, store, tenant, surface), sha256.removeprefix("sha256:"), document.options)
    record, rows = store.record(address), store.check(address)
    if session.as_json:
        print(json.dumps({"uri": address.uri, "rows": rows, "record": record}))
    else:
        console().print(_shown(address, rows, record), soft_wrap=True)


def publish(
    session: Session,
    files: Annotated[
        list[str], typer.Argument(metavar="KIND=FILE…", help="Artifacts, as docs/artifacts.md says how to write them.")
    ],
    tenant: Tenant,
    surface: Surface,
    only: Annotated[
        bool, typer.Option("--only", help="Take the kinds that are not given out of the manifest.")
    ] = False,
    reason: Reason = None,
    override_quarantine: OverrideQuarantine = None,
) -> None:
    """Store artifacts and serve a surface from them. Other kinds stay as they are.

    The files are checked and stored first; the last step changes the manifest, like any document, and waits until every
    replica serves it, two seconds at most.
    """
    reasons, store = reason_header(reason), Store(open_blobs(session.api.target.db))
    reasons |= override_header(override_quarantine)
    given = {kind: (file, memoryview(read_source(file))) for kind, file in map(_read_file, files)}
    found = session.api.get(tenant_path(tenant)).json()
    uris = {
        kind: store.put(found["id"], surface, kind, content, source=file.name)
        for kind, (file, content) in given.items()
    }
    document = Document(MANIFEST, tenant, surface)
    before = document.current(session.api)
    current = read_manifest(before["manifest"]) if before else None
    changed = make_manifest(current, found["external_id"], surface, uris, only=only)
    claim = Claim(None, document.version_in(before), before["revision"] if before else None, force=False)
    put_document(session, document, msgspec.json.encode(changed), claim, reasons, wait=True)


def _read_file(text: str) -> tuple[ArtifactKind, Path]:
    kind, separator, file = text.partition("=")
    if not separator or kind not in _KINDS:
        raise Misused(f"What is {text}?", f"Say it like this: popularity=FILE. Kinds: {', '.join(_KINDS)}")
    return _KINDS[kind], Path(file)


def _stored(session: Session, store: Store, tenant: str, surface: str) -> list[Stored]:
    return store.list_surface(session.api.get(tenant_path(tenant)).json()["id"], surface)


def _current(session: Session, document: Document) -> set[str]:
    """The URIs that the current manifest names."""
    answer = document.current(session.api)
    return set(answer["manifest"]["current"].values()) if answer else set()


def _facts(stored: Stored, current: set[str]) -> dict[str, Any]:
    return {
        "kind": stored.address.kind,
        "sha256": stored.address.sha256,
        "uri": stored.address.uri,
        "size_bytes": stored.size,
        "stored_at": stored.modified_at.isoformat(),
        "complete": any(name.endswith(BLOB_SUFFIX) for name in stored.names),
        "current": stored.address.uri in current,
    }


def _find(stored: Sequence[Stored], beginning: str, options: str) -> Address:
    found = [each.address for each in stored if each.address.sha256.startswith(beginning.lower())]
    if len(found) != 1:
        said = f"{len(found)} artifacts begin" if found else "No artifact of this surface begins"
        raise Failure(f"{said} with {beginning}.", f"See what there is: recsys artifacts list {options}")
    return found[0]


def _shown(address: Address, rows: int, record: dict[str, Any] | None) -> RenderableType:
    lineage = (record or {}).get("lineage", {})
    facts: list[tuple[str, object]] = [("kind", address.kind), ("uri", address.uri), ("rows", rows)]
    facts += [("size bytes", record["size_bytes"])] if record else []
    facts += [(name, json.dumps(value) if isinstance(value, dict) else value) for name, value in lineage.items()]
    note = [] if record else [Text("It has no record: nobody wrote down where it comes from.", "yellow")]
    return Group(views.facts(facts), *note)
