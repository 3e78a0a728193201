"""How a command fails: one sentence on what happened and one on what to do, on stderr, exit code 1 or 2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


_HEADER = re.compile(r"(?:If|X|Idempotency|Content)-[A-Z]|header parameter ")
_PARAMETER = re.compile(r"(?:query|path) parameter ")


class Failure(Exception):
    """The command could not do what was asked. ``hints``: what to do about it, one line each."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints

    def lines(self) -> Iterator[str]:
        """What to print, the most important line first."""
        yield self.message
        yield from (f"→ {hint}" for hint in self.hints)


class Misused(Failure):
    """The command was called wrongly, which shows only after its options were read; nothing was changed."""

    exit_code = 2


class Refused(Failure):
    """The service answered with an error. ``problem`` is its problem document, empty when it sent none."""

    def __init__(self, response: httpx.Response, *hints: str) -> None:
        self.response = response
        self.problem = read_problem(response)
        title = self.problem.get("title") or response.reason_phrase or "Error"
        super().__init__(f"{response.status_code} {title}", *hints)

    @property
    def code(self) -> str:
        """The stable code of the problem; empty when the answer did not come from RecSys."""
        return str(self.problem.get("code", ""))

    def lines(self) -> Iterator[str]:
        """Title, detail, every fault, what a conflict is about, hints, and what to quote when asking for help."""
        yield self.message
        faults = self.problem.get("errors", ())
        detail = str(self.problem.get("detail") or _excerpt(self.response))
        if not any(fault.get("detail", "") in detail for fault in faults):  # else it sums the faults up
            yield detail
        yield from (_fault(fault) for fault in faults)
        yield from _conflict(self.problem)
        yield from (f"→ {hint}" for hint in self.hints)
        said = [f"{name} {self.problem[name]}" for name in ("code", "request_id") if self.problem.get(name)]
        if said:
            yield " · ".join(said)


def read_problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an answer; empty when there is none, as from a proxy in between."""
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _fault(fault: dict[str, Any]) -> str:
    line = f"line {fault['line']} " if fault.get("line") is not None else ""
    meant = f" Did you mean {fault['did_you_mean']!r}?" if fault.get("did_you_mean") else ""
    return f"  {line}{fault.get('pointer') or _part(fault.get('detail', ''))}: {fault.get('detail', '')}{meant}"


def _part(detail: str) -> str:
    """Where a fault without a pointer is: one in a header or in the URL begins with its name."""
    if _HEADER.match(detail):
        return "(header)"
    return "(URL)" if _PARAMETER.match(detail) else "(whole document)"


def _conflict(problem: dict[str, Any]) -> Iterator[str]:
    if "current_revision" not in problem:
        return
    yield f"  now current: {problem.get('current_version') or 'nothing'} (revision {problem['current_revision']})"
    if problem.get("updated_by"):
        yield f"  moved by:    {problem['updated_by']} at {problem.get('updated_at')}"
    if problem.get("differs"):
        yield "  differs at:  " + ", ".join(pointer or "(whole document)" for pointer in problem["differs"])


def _excerpt(response: httpx.Response) -> str:
    text = " ".join(response.text.split())
    return (text[:300] or "The answer has no text.") + " (This answer did not come from RecSys: is the URL right?)"
