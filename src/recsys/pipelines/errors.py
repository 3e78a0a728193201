"""What can go wrong in a run, each with what to do about it."""

from __future__ import annotations


class PipelineError(Exception):
    """The run could not go on. ``hints``: what to do about it."""

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints


class LimitExceeded(PipelineError):
    """More than a limit allows."""

    def __init__(self, limit: str, allowed: int, found: int) -> None:
        super().__init__(
            f"limits.{limit} allows {allowed:,}, this run has {found:,}.",
            f'Ask for less, or raise it: --settings FILE with {{"limits": {{"{limit}": {found}}}}}',
        )
        self.limit = limit
