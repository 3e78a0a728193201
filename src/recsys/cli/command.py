"""Registers commands: adds the options that say where requests go, opens the way there, turns failures into exit codes.

A command is a plain function whose first argument is its :class:`Session`; the rest are its own options.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console, RenderableType

from recsys.cli.connection import Api, Target, connect
from recsys.cli.failure import Failure, Refused
from recsys.cli.options import require_one_line

_PIPE_WIDTH = 10_000
"""A row is a line in a pipe, however long."""

View = Callable[[Any], RenderableType]

_TARGET_HINTS = (
    "A running service: --url http://HOST:PORT (or RECSYS_URL), with --api-key (or RECSYS_API_KEY).",
    "Its database, when the service is down: --db sqlite:///FILE or postgresql://… (or RECSYS_DB).",
)


def console(*, stderr: bool = False) -> Console:
    """A console that prints data as it is: no markup, no guessing, no cutting off when the output goes into a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if stream.isatty() else _PIPE_WIDTH,
        soft_wrap=False,
    )


@dataclass(frozen=True)
class Session:
    """What a command works with: the way to the service, and where its answer goes."""

    api: Api
    as_json: bool

    def answer(self, response: httpx.Response, view: View) -> None:
        """Show an answer: as the service sent it with ``--json``, else as ``view`` draws it."""
        if self.as_json:
            print(response.text)
        else:
            console().print(view(response.json()), soft_wrap=True)

    def note(self, text: RenderableType, style: str | None = None) -> None:
        """Say something that is not the answer: on stderr, so that the answer can go into a pipe."""
        console(stderr=True).print(text, style=style, soft_wrap=True)


@contextmanager
def reporting(*, as_json: bool = False) -> Iterator[None]:
    """Turn a failure into its message on stderr and its exit code; with ``--json`` the problem goes to stdout too."""
    try:
        yield
    except Failure as failure:
        if as_json and isinstance(failure, Refused) and failure.problem:
            print(failure.response.text)
        first, *rest = failure.lines()
        out = console(stderr=True)
        out.print(first, style="bold red")
        for line in rest:
            out.print(line, soft_wrap=True)
        raise typer.Exit(failure.exit_code) from None


def register(
    app: typer.Typer,
    name: str,
    function: Callable[..., None],
    *,
    fixed: Mapping[str, object] | None = None,
    panel: str | None = None,
    serving: bool = False,
) -> None:
    """Make a function a command that talks to the service.

    ``fixed`` arguments are set here and are no options; ``serving``: the command asks for recommendations.
    """
    fixed = fixed or {}
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for parameter in list(signature.parameters.values())[1:] if parameter.name not in fixed]

    def run(**values: Any) -> None:
        target, as_json = _take_target(values), values.pop("as_json")
        with reporting(as_json=as_json), connect(target, serving=serving) as api:
            function(Session(api, as_json), **values, **fixed)

    options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *_TARGET_OPTIONS)]
    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    help_text = inspect.cleandoc(function.__doc__ or "").format_map(
        {"document": getattr(fixed.get("kind"), "name", "")}
    )
    app.command(name, help=help_text, rich_help_panel=panel)(run)


def _target_options(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", envvar="RECSYS_URL", metavar="URL", help="Ask the service at this address.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", envvar="RECSYS_API_KEY", metavar="KEY", help="The key to show it.", show_envvar=True),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option("--db", envvar="RECSYS_DB", metavar="URL", help="Work on this database, without a service."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the HTTP answer as it is.")] = False,
) -> None:
    """Only the signature counts: the options of every command that talks to the service."""


_TARGET_OPTIONS = tuple(inspect.signature(_target_options, eval_str=True).parameters.values())


def _take_target(values: dict[str, Any]) -> Target:
    """Decide between service and database: an option beats the environment; two of a kind: the service."""
    ctx, url, key, db = (values.pop(name) for name in ("ctx", "url", "api_key", "db"))
    typed = [name for name in ("url", "db") if _is_typed(ctx, name)]
    if len(typed) == 2:
        raise typer.BadParameter("Give --url or --db, not both.")
    if key is not None:
        require_one_line("--api-key", key)
    if url and typed != ["db"]:
        return Target(url=url.rstrip("/"), api_key=key)
    if db:
        return Target(db=db)
    raise typer.BadParameter("Where to? " + " ".join(_TARGET_HINTS))


def _is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
