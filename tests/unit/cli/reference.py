"""The reference part of docs/cli.md, made from the commands themselves.

``python -m tests.unit.cli.reference`` writes it into the page.
"""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command

from recsys.cli.commands import build_app

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
MARK = "<!-- made by `python -m tests.unit.cli.reference`; a test compares it with the commands -->"
SHARED = ("url", "api_key", "db", "as_json")
"""Options of every command that talks to the service; the page explains them once."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be run, with its full name."""
    yield from _below("recsys", get_command(build_app()))


def reference() -> str:
    """The reference, from the mark to the end of the page."""
    sections = [_section(name, command) for name, command in sorted(commands())]
    return "\n\n".join([MARK, "## Every command", *sections]) + "\n"


def is_connected(command: Any) -> bool:
    """Whether a command talks to the service."""
    return {parameter.name for parameter in command.params} >= set(SHARED)


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, each in command.commands.items():
        yield from _below(f"{name} {part}", each)


def _section(name: str, command: Any) -> str:
    connected = is_connected(command)
    own = [each for each in command.params if not (connected and each.name in SHARED)]
    usage = " ".join([name, *(_argument(each) for each in own if each.param_type_name == "argument"), "[OPTIONS]"])
    lines = [f"### `{name}`", "", " ".join(command.help.split()), "", f"`{usage}`"]
    if own:
        lines += ["", "| | |", "|---|---|", *(f"| {_names(each)} | {_help(each)} |" for each in own)]
    if connected:
        lines += ["", "And [where to](#where-to)."]
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    value = f" {parameter.metavar or 'VALUE'}" if not parameter.is_flag else ""
    return ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in parameter.opts)


def _help(parameter: Any) -> str:
    text = (parameter.help or "").strip()
    kind = parameter.type_descriptor.annotation
    kind = next(iter(get_args(kind)), kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        text += " One of " + ", ".join(f"`{each.value}`" for each in kind) + "."
    if parameter.required:
        text += " Required."
    elif parameter.default not in (None, False, ""):
        text += f" Default: `{getattr(parameter.default, 'value', parameter.default)}`."
    if parameter.envvar:
        text += f" Environment: `{parameter.envvar}`."
    return text.replace("|", "\\|")


def main() -> None:
    """Write the reference into the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.partition(MARK)[0] + reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
