"""Plots as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _ROW = 900, 160, 22
_COLOR = "#3b7dd8"


def bars(values: Sequence[tuple[str, int]]) -> str:
    """One bar per label, in their order; each says its value when pointed at."""
    most = max((value for _, value in values), default=0) or 1
    step = _WIDTH / max(1, len(values))
    drawn = [
        f'<rect x="{at * step:.1f}" y="{_HEIGHT - _HEIGHT * value / most:.1f}" width="{max(1.0, step - 2):.1f}" '
        f'height="{_HEIGHT * value / most:.1f}" fill="{_COLOR}"><title>{escape(label)}: {value:,}</title></rect>'
        for at, (label, value) in enumerate(values)
    ]
    ends = ""
    if values:
        y = _HEIGHT + 18
        ends = f"{_text(0, y, values[0][0])}{_text(_WIDTH, y, values[-1][0], 'end')}{_text(0, -6, f'{most:,}')}"
    return f'<svg viewBox="0 -20 {_WIDTH} {_HEIGHT + 44}" role="img">{"".join(drawn)}{ends}</svg>'


def ranks(values: Sequence[tuple[str, float, str]]) -> str:
    """One line per label: its name, a bar and what to write beside it."""
    most = max((value for _, value, _ in values), default=0) or 1
    drawn = []
    for at, (label, value, shown) in enumerate(values):
        y = at * _ROW
        width = 480 * value / most
        bar = f'<rect x="230" y="{y + 4}" width="{width:.1f}" height="{_ROW - 8}" fill="{_COLOR}"/>'
        name = label if len(label) <= 30 else f"{label[:29]}…"
        drawn.append(f"{_text(0, y + 16, name)}{bar}{_text(240 + width, y + 16, shown)}")
    return f'<svg viewBox="0 0 {_WIDTH} {_ROW * max(1, len(values)) + 6}" role="img">{"".join(drawn)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-size="13" fill="currentColor" text-anchor="{anchor}">{escape(text)}</text>'
