"""``recsys events send``: what users did, from a file, in as many requests as it takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Group
from rich.text import Text

from recsys.cli.command import Session, register
from recsys.cli.failure import Failure, Misused
from recsys.cli.options import Source, Tenant, require_one_line
from recsys.cli.source import read_source
from recsys.domain.event import MOST_RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

MOST_BYTES = 512 * 1024
"""Of records in one request: well below what a service takes by default."""

_Line = tuple[int, bytes]


def events_group() -> typer.Typer:
    """The commands about events."""
    app = typer.Typer(no_args_is_help=True, help="What users did: views, clicks, purchases.")
    register(app, "send", send_events)
    return app


def send_events(session: Session, tenant: Tenant, file: Source) -> None:
    """Send events, one JSON object a line. Sending a file again is harmless: each event counts once, by its event_id.

    Exit code 1 when a record was rejected; the others are accepted all the same.
    """
    if session.api.target.db is not None:
        raise Misused("Events go into the log of a running service, not into a database.", "Give its address: --url")
    require_one_line("--tenant", tenant)
    headers = {"Content-Type": "application/json", "X-Org-Id": tenant}
    rejected = 0
    for batch in _batches(_lines(read_source(file))):
        content = b'{"events":[' + b",".join(record for _, record in batch) + b"]}"
        response = session.api.request("POST", "/v1/events", content=content, headers=headers)
        numbers = [number for number, _ in batch]
        session.answer(response, lambda answer, numbers=numbers: _verdicts(answer, numbers))  # type: ignore[misc]
        rejected += response.json()["rejected"]
    if rejected:
        raise Failure(
            f"Not every record was accepted: {rejected:,} rejected.",
            "Correct them and send the file again: nothing counts twice.",
        )


def _lines(content: bytes) -> list[_Line]:
    found = [(number, line.strip()) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
    if not found:
        raise Misused("There is no event in it; nothing was sent.")
    for number, line in found:
        try:
            json.loads(line)
        except ValueError as error:
            raise Misused(f"Line {number} is not JSON ({error}); nothing was sent.") from None
    return found


def _batches(lines: list[_Line]) -> Iterator[list[_Line]]:
    batch: list[_Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == MOST_RECORDS or size + len(line[1]) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line[1]) + 1
    yield batch


def _verdicts(answer: dict[str, Any], numbers: list[int]) -> RenderableType:
    """How many were taken, and what is wrong with those that were not."""
    counts = ", ".join(f"{answer[name]:,} {name}" for name in ("accepted", "duplicates", "rejected"))
    wrong = [
        Text(f"line {number} {fault['pointer'] or '(record)'}: {fault['detail']}{_meant(fault)}", style="yellow")
        for number, result in zip(numbers, answer["results"], strict=True)
        for fault in result.get("faults", ())
    ]
    return Group(*wrong, Text(f"lines {numbers[0]:,} to {numbers[-1]:,}: {counts}"))


def _meant(fault: dict[str, Any]) -> str:
    return f" Did you mean {fault['did_you_mean']!r}?" if fault.get("did_you_mean") else ""
