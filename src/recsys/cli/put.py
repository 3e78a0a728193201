"""Puts a document: never blindly, and with an account of what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from recsys.cli import views
from recsys.cli.document import tenant_path
from recsys.cli.failure import Failure, Misused, Refused
from recsys.cli.options import require_one_line
from recsys.cli.replicas import receipt
from recsys.cli.sidecar import Start, read_start, sidecar_of, write_start

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from recsys.cli.command import Session
    from recsys.cli.document import Document


@dataclass(frozen=True)
class Claim:
    """What the person says about the state that the edit started from; ``file`` may have a note next to it."""

    file: Path | None
    if_match: str | None
    if_revision: int | None
    force: bool


def put_document(
    session: Session,
    document: Document,
    content: bytes,
    claim: Claim,
    reasons: dict[str, str],
    *,
    wait: bool = False,
) -> None:
    """Send the document with preconditions, and show from which version to which it moved, and what that changes.

    ``wait``: and which replicas serve it.
    """
    before = document.current(session.api)
    conditions = _preconditions(session, document, claim, before)
    headers = {"Content-Type": "application/json", **conditions, **reasons}
    try:
        params: dict[str, object] = {"wait": "converged"} if wait else {}
        response = session.api.request("PUT", document.path, content=content, headers=headers, params=params)
    except Refused as refused:
        raise _with_diff_hint(refused, document, conditions) from None
    body = response.json()
    if claim.file is not None and sidecar_of(claim.file).exists():
        _note_start(session, claim.file, _start(document, body))
    session.answer(response, lambda answer: _account(session, document, before, answer))


def _note_start(session: Session, file: Path, start: Start) -> None:
    """Bring the note up to date. The change is made, so that a note which cannot be written fails nothing."""
    try:
        write_start(file, start)
    except Misused as error:
        session.note(f"{error.message} The document is changed all the same; remove the note.", "yellow")


def reason_header(reason: str | None) -> dict[str, str]:
    """``X-Change-Reason``, if there is a reason; one that no header can hold is a usage error."""
    if reason is None:
        return {}
    require_one_line("--reason", reason)
    return {"X-Change-Reason": reason.strip()}


def override_header(reason: str | None) -> dict[str, str]:
    """``X-Override-Quarantine``, if there is a reason to apply what is under quarantine."""
    if reason is None:
        return {}
    require_one_line("--override-quarantine", reason)
    return {"X-Override-Quarantine": reason.strip()}


def _start(document: Document, body: dict[str, Any]) -> Start:
    return Start(body["tenant_id"], str(document), body[document.kind.version_field], body["revision"])


def _preconditions(session: Session, document: Document, claim: Claim, before: dict[str, Any] | None) -> dict[str, str]:
    if claim.force:
        return {} if before is None else {"If-Match": "*"}
    if claim.if_match is not None or claim.if_revision is not None:
        said = {"If-Match": claim.if_match and document.whole_version(session.api, claim.if_match)}
        said["If-Revision"] = None if claim.if_revision is None else str(claim.if_revision)
        return {name: value for name, value in said.items() if value is not None}
    start = _noted(session, document, claim, before)
    if start is None:
        return {"If-None-Match": "*"}
    return {"If-Match": f'"{start.version}"', "If-Revision": str(start.revision)}


def _noted(session: Session, document: Document, claim: Claim, before: dict[str, Any] | None) -> Start | None:
    """What the note next to the file says, else what was current a moment ago; None: there is no such document."""
    if claim.file is not None and sidecar_of(claim.file).exists():
        tenant_id = before["tenant_id"] if before else session.api.get(tenant_path(document.tenant)).json()["id"]
        if start := read_start(claim.file, tenant_id, str(document)):
            return start
        session.note(f"{sidecar_of(claim.file)} is about another document; comparing with what is current now.")
    return _start(document, before) if before else None


def _with_diff_hint(refused: Refused, document: Document, headers: dict[str, str]) -> Failure:
    """For a conflict, the command that shows what the other person changed."""
    started_from = headers.get("If-Match", "").strip('"')
    if refused.code != "RECSYS_VERSION_MISMATCH" or started_from in ("", "*"):
        return refused
    where = document.options
    return Refused(
        refused.response,
        f"What they changed: recsys {document.kind.name} diff {where} --from {views.short(started_from)} --to current",
        f"Start again from theirs: recsys {document.kind.name} get {where} -o FILE; or overwrite it: put --force",
    )


def _account(
    session: Session, document: Document, before: dict[str, Any] | None, answer: dict[str, Any]
) -> RenderableType:
    lines: list[RenderableType] = [moved(document, before, answer)]
    old, new = document.version_in(before), document.version_in(answer)
    if old and new and old != new:
        found = session.api.request("GET", f"{document.path}/diff", params={"from": old, "to": new}).json()
        lines.append(views.differences(found))
    lines += [views.warning(each) for each in answer.get("warnings", ())]
    return Group(*lines, *receipt(answer))


def moved(document: Document, before: dict[str, Any] | None, answer: dict[str, Any]) -> RenderableType:
    """One line on what a change did: from which version to which, and, unless it is cleared, at which revision."""
    old, new = document.version_in(before), document.version_in(answer)
    at = f" (revision {answer['revision']})" if new else ""
    if not answer["changed"]:
        return Text(f"{document}: nothing changed, {new or 'no version'} is current already{at}")
    return Text(f"{document}: {old or 'nothing'} → {new or 'nothing (cleared)'}{at}", "bold")
