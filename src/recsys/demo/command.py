"""``recsys demo``: a shop with real data, on this machine, in less than a minute."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.console import Console

from recsys.demo.bad_manifest import SURFACE, WrongJob
from recsys.demo.build import ensure_built
from recsys.demo.child import HOST, require_free, running_service
from recsys.demo.fill import OpenApp
from recsys.demo.guide import Guide
from recsys.demo.place import TENANT, DemoFailed, Place
from recsys.demo.screen import TRY, TRY_SIGNALS, Screen
from recsys.demo.tour import Tour

if TYPE_CHECKING:
    from recsys.pipelines.window import Window

_PIPE_WIDTH = 120
"""Columns for a reader of the log, who has no terminal to tell."""


def demo_command(open_app: OpenApp) -> Callable[..., None]:
    """The command; ``open_app`` is how it loads data before there is a service."""

    def demo(
        *,
        directory: Annotated[
            Path, typer.Option("--dir", metavar="DIR", file_okay=False, help="Where the data is kept.")
        ] = Path("demo-data"),
        port: Annotated[int, typer.Option("--port", "-p", min=1, max=65_535, help="The port to listen on.")] = 8080,
        workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="So many processes share the port.")] = 1,
        build_only: Annotated[bool, typer.Option("--build-only", help="Build the data and stop.")] = False,
        db_only: Annotated[
            bool,
            typer.Option("--db-only", help="Serve from tables of the database, without pipelines and artifacts."),
        ] = False,
        tour: Annotated[
            bool, typer.Option("--tour", help="Break the home page and bring it back, with proof; then stop.")
        ] = False,
    ) -> None:
        """Build the retail demo (once), and run it on this machine."""
        console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        with _reporting(console):
            started = time.monotonic()
            if not build_only:
                require_free(port)
            place = Place(directory.absolute())
            built = ensure_built(place, "tables" if db_only else "artifacts", console, open_app)
            console.print(
                f"{place.directory} is {'built' if built else 'there already'} ({_since(started)})", soft_wrap=True
            )
            if not build_only:
                _run(place, console, port, workers, started, tour=tour)

    return demo


@contextmanager
def _reporting(console: Console) -> Iterator[None]:
    try:
        with _stoppable():
            yield
    except DemoFailed as failed:
        Console(stderr=True, highlight=False, markup=False).print(str(failed), style="bold red", soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("\nStopped.")
        raise typer.Exit(130) from None


def _run(place: Place, console: Console, port: int, workers: int, started: float, *, tour: bool) -> None:
    url = f"http://{HOST}:{port}"
    log = place.log(port)
    with ExitStack() as stack:
        with console.status("The service starts …"):
            process = stack.enter_context(running_service(place, port, workers))
        console.print(f"{url} is ready ({_since(started)}); its log is {log}", soft_wrap=True)
        if tour:
            _play(place, console, url)
        else:
            _stay(process, url, place, log)


def _play(place: Place, console: Console, url: str) -> None:
    started = time.monotonic()
    job = _wrong_job(place) if place.mode() == "artifacts" else None
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        Tour(Guide(client, Screen(console)), place.titles(), place.showcase(), place.logs, job).play()
    console.print()
    console.print(f"Every step held ({_since(started)}). Stay longer: recsys demo", style="bold green")


def _wrong_job(place: Place) -> WrongJob:
    from recsys.demo.signals import KINDS, WRONG_DECEMBER, WrongDecember

    return WrongDecember(place, SURFACE, _pipelines_command(place, WRONG_DECEMBER, KINDS))


def _pipelines_command(place: Place, window: Window, kinds: Sequence[str]) -> str:
    """What makes a window's signals on the command line, as it can be typed here."""
    options = [f"--db {shlex.quote(place.url)} -t {TENANT} -s {SURFACE} --start {window.start} --end {window.end}"]
    options.append(f"--kinds {','.join(kinds)}")
    files = {"source": place.events, "catalog": place.items, "settings": place.pipeline_settings, "work": place.work}
    options += [f"--{name} {_as_typed(file)}" for name, file in files.items()]
    return " ".join([_program(), "pipelines", "run", *options])


def _stay(process: subprocess.Popen[bytes], url: str, place: Place, log: Path) -> None:
    print()
    item_id = place.showcase().anchor.item_id
    print(TRY.format(url=url, bad_rules=_as_typed(place.bad_rules), recsys=_program(), item_id=item_id))
    if place.mode() == "artifacts":
        print(TRY_SIGNALS.format(recsys=_program(), pipelines=_wrong_job(place).command))
    print("Ctrl-C stops it.", flush=True)
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the way it is meant to end
        print("\nStopped.")
        return
    if code:
        raise DemoFailed(f"The service ended with exit code {code}; see {log}")


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"


def _program() -> str:
    """How this program can be called from here: by its name when it is on the path, else by its place."""
    return "recsys" if shutil.which("recsys") else _as_typed(Path(sys.executable).with_name("recsys"))


def _as_typed(file: Path) -> str:
    """A path as it is typed here: as short as it can be, and quoted where the shell needs it."""
    with suppress(ValueError):  # it is somewhere else
        file = file.relative_to(Path.cwd())
    return shlex.quote(str(file))


@contextmanager
def _stoppable() -> Iterator[None]:
    """Unwind at SIGTERM and SIGINT, so that a half-made build is removed and the service stopped.

    SIGINT too, because a script that starts a program in the background has it ignored there.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
