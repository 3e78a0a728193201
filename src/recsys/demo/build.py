"""Builds the demo in a folder: the invoices as files, a database filled with them, and the signals."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from recsys.demo import showcase
from recsys.demo.fill import OpenApp, fill, label_good
from recsys.demo.place import DemoFailed, Place
from recsys.demo.showcase import DataMode

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from recsys.demo.retail import RetailFiles

_OTHER = "Take another folder: --dir DIR"
_TAKES: Final[dict[DataMode, tuple[str, ...]]] = {
    "tables": ("duckdb",),
    "artifacts": ("duckdb", "ibis", "pyarrow", "scipy", "implicit"),
}
"""What each mode imports of the extra ``demo``, sooner or later; what is missing is better missed at once."""
PARTS: Final = 11
"""How many parts a run of the pipelines tells of, here."""


def ensure_built(place: Place, mode: DataMode, console: Console, open_app: OpenApp) -> bool:
    """Build the demo unless it is there already; whether there was something to do.

    Everything is made in a folder next to it, which takes its place in the last step: what is interrupted half-way
    never looks finished, and the next start makes it anew.

    Raises:
        DemoFailed: the folder holds something else or cannot be written, what it takes is missing, a step was refused.
    """
    try:
        if place.is_current(mode):
            return False
        if not place.is_ours():
            raise DemoFailed(f"{place.directory} holds something that is not a demo. {_OTHER}")
        _require_packages(mode)
        _build_beside(place, mode, console, open_app)
    except OSError as error:
        raise DemoFailed(f"{place.directory} cannot be written: {error.strerror or error}. {_OTHER}") from None
    return True


def _require_packages(mode: DataMode) -> None:
    missing = [name for name in _TAKES[mode] if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoFailed(f"The demo needs {', '.join(missing)}: pip install 'recsys[demo]'")


def _build_beside(place: Place, mode: DataMode, console: Console, open_app: OpenApp) -> None:
    scratch = Place(place.directory.with_name(place.directory.name + ".building"))
    shutil.rmtree(scratch.directory, ignore_errors=True)
    try:
        scratch.directory.mkdir(parents=True)
        with _progress(console) as progress:
            _build(scratch, mode, progress, open_app)
        _replace(place.directory, scratch.directory)
    finally:
        shutil.rmtree(scratch.directory, ignore_errors=True)


def _replace(old: Path, new: Path) -> None:
    if old.exists():
        trash = old.with_name(old.name + ".old")
        shutil.rmtree(trash, ignore_errors=True)
        old.rename(trash)
        new.rename(old)
        shutil.rmtree(trash)
    else:
        new.rename(old)


def _build(place: Place, mode: DataMode, progress: Progress, open_app: OpenApp) -> None:
    files = _read_invoices(place, mode, _Bar(progress, "invoices"))
    _write_json(place.bad_rules, showcase.bad_rules(files.showcase))
    asyncio.run(fill(place, files, mode, open_app, _Bar(progress, "database").show))
    if mode == "artifacts":
        _make_signals(place, progress)
    asyncio.run(label_good(place, open_app))
    place.finish(files.showcase, mode)


def _read_invoices(place: Place, mode: DataMode, bar: _Bar) -> RetailFiles:
    import duckdb

    from recsys.demo import retail

    invoices = retail.SHIPPED_PARQUET
    if not invoices.is_file():
        raise DemoFailed(f"{invoices} is missing. It comes with the package: install that again.")
    try:
        files = retail.build(invoices, place.directory, bar.show)
        if mode == "artifacts":
            bar.show("write events", 5, 6)
            place.events.mkdir()
            retail.write_events(invoices, place.events / "events.jsonl")
            bar.show("done", 6, 6)
    except duckdb.IOException as error:  # a full disk, most likely
        raise OSError(_first_line(error)) from None
    except (duckdb.Error, ValueError) as error:
        raise DemoFailed(f"{invoices} cannot be read: {_first_line(error)}") from None
    return files


def _make_signals(place: Place, progress: Progress) -> None:
    from recsys.demo.retail import SURFACES
    from recsys.demo.signals import SETTINGS, YEAR, Job
    from recsys.storage.salt import keep_salt

    _write_json(place.pipeline_settings, SETTINGS)
    place.logs.mkdir()
    keep_salt(place.logs)  # the service's own, so that it knows the customers of the events again
    for surface in SURFACES:
        bar = _Bar(progress, f"signals for {surface}")
        Job(place, "demo", "the demo is built", bar.follow).publish(surface, YEAR)
        bar.end()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class _Bar:
    """One bar of the screen, which has its ``name`` once it is full."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._begun: list[str] = []
        self._task = progress.add_task(name)

    def show(self, step: str, done: int, total: int) -> None:
        """Take what counts its steps."""
        description = step if done < total else self._name
        self._progress.update(self._task, description=description, completed=done, total=total)

    def follow(self, what: str, *_: int) -> None:
        """Take what the pipelines tell, each of whose parts counts for itself: here every part is a step."""
        if what not in self._begun:
            self._begun.append(what)
        done = len(self._begun) - 1
        self.show(f"{self._name}: {what}", done, max(PARTS, done + 1))

    def end(self) -> None:
        """Everything is done."""
        self.show(self._name, PARTS, PARTS)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
