"""What the demo shows: steps, answers with titles, proofs, and the commands to try."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass
class Screen:
    """Where the demo talks to the person who runs it."""

    console: Console
    steps: int = field(default=0, init=False)

    def step(self, title: str) -> None:
        """Begin a step."""
        self.steps += 1
        self.console.print()
        self.console.print(Rule(Text(f"{self.steps}  {title}", style="bold"), align="left"))

    def say(self, text: str) -> None:
        """Say something in one line."""
        self.console.print(Text(text, style="dim"))

    def working(self, text: str) -> AbstractContextManager[object]:
        """Say what is being waited for, as long as the block lasts."""
        return self.console.status(text)

    def holds(self, claim: str) -> None:
        """Say that a claim was checked."""
        self.console.print(Text(f"✓ {claim}", style="green"))

    def answer(self, items: Iterable[dict[str, Any]], titles: Mapping[str, str], meta: Mapping[str, Any]) -> None:
        """Show an answer: the list with titles, and what produced it."""
        table = _table("rank", "item", "title", "score")
        for item in items:
            table.add_row(str(item["rank"]), item["item_id"], titles.get(item["item_id"], ""), f"{item['score']:.4f}")
        self.console.print(table if table.row_count else Text("(nothing)", style="bold red"))
        self.console.print(Text(_versions(meta) + f" · revision {meta['revision']}", style="dim"))

    def explanation(self, item: Mapping[str, Any], titles: Mapping[str, str]) -> None:
        """Show what the score of an item is made of, as ``explain: full`` and ``include_reasons`` tell it."""
        self.console.print(Text(f"Why {_called(item['item_id'], titles)}? {', '.join(item['reasons'])}"))
        table = _table("signal", "raw", "normalised", "weight", "adds")
        for name, part in item["explain"]["signals"].items():
            if isinstance(part, dict):
                numbers = f"{part['raw']:.4g}", f"{part['normalised']:.4f}", f"{part['weight']:g}"
                table.add_row(name, *numbers, f"{part['contribution']:.4f}")
            else:
                table.add_row(name, "", "", "", f"{part:.4f}")
        table.add_row("score", "", "", "", f"{item['score']:.4f}", style="bold")
        self.console.print(table)

    def why_not(self, said: Mapping[str, Any], titles: Mapping[str, str]) -> None:
        """Show where an item fell out, as ``explain_item`` tells it."""
        self.console.print(Text(f"Why not {_called(said['item_id'], titles)}? {said['outcome']}: {said['detail']}"))

    def path(self, file: Path) -> None:
        """Show a path in one piece."""
        self.command(str(file))

    def command(self, line: str) -> None:
        """Show in one piece what is to be copied."""
        self.console.print(Text(line, style="dim"), soft_wrap=True)

    def proof(self, size: int, versions: Mapping[str, Any], revision: int, took_ms: float) -> None:
        """Show what was compared."""
        self.say(
            f"{size} bytes of items compared · {_versions(versions)} · revision {revision} · after {took_ms:.0f} ms"
        )

    def history(self, entries: Iterable[dict[str, Any]], surface: str) -> None:
        """Show the ledger."""
        table = _table("revision", "who", "action", "rules", f"manifest {surface}", "labels", "reason")
        for each in entries:
            pointers, labels = each["pointers"], ", ".join(each["labels"])
            versions = [(version or "–")[:12] for version in (pointers["rules"], pointers["manifests"].get(surface))]
            row = str(each["revision"]), each["actor_sub"], each["action"], *versions, labels, each["reason"] or ""
            table.add_row(*row)
        self.console.print(table)


_FOLDS = ("title", "who", "reason")
"""Prose gives way on a narrow terminal; what is to be copied stays in one piece."""


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in _FOLDS)
    return table


def _called(item_id: str, titles: Mapping[str, str]) -> str:
    return f"{item_id} ({titles[item_id]})" if item_id in titles else item_id


def _versions(meta: Mapping[str, Any]) -> str:
    names = ("config", "rules", "manifest")
    return " · ".join(f"{name} {(meta[f'{name}_version'] or '–')[:12]}" for name in names)


TRY = """\
Open {url}/docs

  # what does the home page show?
  curl -s {url}/v1/recommend -H 'X-Dev-User-Id: me' -H 'X-Org-Id: demo' \\
    -H 'Content-Type: application/json' -d '{{"surface": "home", "k": 5, "user": {{"user_id": "me"}}}}'

  # look at the rules and their ETag
  curl -si {url}/v1/admin/tenants/demo/rules -H 'X-Dev-User-Id: me'

  # break it: these rules block every item
  curl -s -X PUT {url}/v1/admin/tenants/demo/rules -H 'X-Dev-User-Id: me' \\
    -H 'Content-Type: application/json' --data-binary @{bad_rules}

  # bring it back
  curl -s {url}/v1/admin/tenants/demo/rollback -H 'X-Dev-User-Id: me' \\
    -H 'Content-Type: application/json' -d '{{"to": "known_good"}}'

The same on the command line:

  export RECSYS_URL={url} RECSYS_TENANT=demo
  {recsys} recommend -s home --explain
  {recsys} rules get
  {recsys} rules put {bad_rules} --reason 'sale: no price labels'
  {recsys} recommend -s home --why-not {item_id}
  {recsys} rollback --to known_good --reason 'home page is empty'
  {recsys} history
"""
TRY_SIGNALS = """\
Its signals are artifacts, which the pipelines made of the invoices; a manifest names them:

  {recsys} manifest get -s home
  {recsys} recommend -s home --user customer-17850
  # break it: the last nine days were meant, but a year ago was typed
  {pipelines}
  {recsys} recommend -s home --user customer-17850
  # bring it back, and keep the other manifest away
  {recsys} manifest rollback -s home --to known_good --quarantine --reason 'signals of a year ago'
  {recsys} quarantine
"""
"""Both are meant to be copied, so they are printed as they are: nothing wrapped, nothing coloured."""
