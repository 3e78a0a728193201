"""A table for terminals of any width: what is to be copied is never cut or broken, what is prose gives way."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import TextWrapper
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions

GAP, INDENT = "  ", "      "
_TIMES = ("when", "created", "revoked", "since")
_YEAR = len("2026-")
_ONLY_WIDE = ("via",)
_GIVES_WAY = (
    "reason",
    "comment",
    "title",
    "labels",
    "quarantined",
    "manifests",
    "reasons",
    "name",
    "who",
    "by",
    "action",
    "entity",
    "from",
    "to",
)
"""Columns that may leave the table, in this order, for a line of their own below the row."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading. A column that is empty in every row is left out."""

    columns: tuple[str, ...]
    cells: list[tuple[str, ...]]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        columns = {
            name: [row[at] for row in self.cells]
            for at, name in enumerate(self.columns)
            if any(row[at] for row in self.cells)
        }
        below = _fit(columns, options.max_width)
        widths = {name: _width(name, column) for name, column in columns.items()}
        yield _line({name: name for name in columns}, widths, "bold")
        for at in range(len(self.cells)):
            yield _line({name: column[at] for name, column in columns.items()}, widths)
            said = [f"{name} {column[at]}" for name, column in below.items() if column[at]]
            if said:
                yield Text(_prose(" · ".join(said), options.max_width))


def _prose(text: str, room: int) -> str:
    """Words below a row; one that is too long stays whole."""
    wrap = TextWrapper(room, initial_indent=INDENT, subsequent_indent=INDENT, break_long_words=False)
    return wrap.fill(text)


def _fit(columns: dict[str, list[str]], room: int) -> dict[str, list[str]]:
    """Take from ``columns`` what has no room, the least important first; what goes below the row is given back.

    Times lose their year before anything leaves. When nothing is left to give way, the line is longer than the
    terminal, which breaks it at its edge; nothing is ever cut off.
    """
    if _total(columns) <= room:
        return {}
    for name in _TIMES:
        if name in columns:
            columns[name] = [cell[_YEAR:] for cell in columns[name]]
    for name in _ONLY_WIDE:
        columns.pop(name, None)
    leaving: list[str] = []
    for name in _GIVES_WAY:
        if _total(columns) - sum(_width(each, columns[each]) + len(GAP) for each in leaving) <= room:
            break
        if name in columns:
            leaving.append(name)
    return {name: columns.pop(name) for name in list(columns) if name in leaving}


def _total(columns: dict[str, list[str]]) -> int:
    return sum(_width(name, column) + len(GAP) for name, column in columns.items()) - len(GAP)


def _width(name: str, column: list[str]) -> int:
    return max(cell_len(name), *map(cell_len, column))


def _line(cells: dict[str, str], widths: dict[str, int], style: str = "") -> Text:
    padded = (cell + " " * (widths[name] - cell_len(cell)) for name, cell in cells.items())
    return Text(GAP.join(padded).rstrip(), style)
