"""The command line ``recsys``."""

from __future__ import annotations

import os
import sys
import traceback

from recsys.cli.output import OutputFailed, drop_output, finish_output, guard_output


def main() -> None:
    """Run a command: exit code 0 when it did what was asked, 1 when it failed, 2 when it was asked wrongly."""
    guard_output()
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OutputFailed as error:
        drop_output()
        print(f"The output could not be written: {error.strerror}. What was done by then stays done.", file=sys.stderr)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - nobody is left who could know what it means
        _tell_defect(error)
        sys.exit(1)


def _run() -> None:
    try:
        from recsys.cli.commands import build_app  # here, so that Ctrl-C while modules load ends it quietly, too

        build_app()()
    finally:
        finish_output()


def _tell_defect(error: Exception) -> None:
    if os.environ.get("RECSYS_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    what = " ".join(str(error).split()) or "no message"
    print(f"{type(error).__name__}: {what[:300]}", file=sys.stderr)
    print("→ This is a defect of recsys. RECSYS_LOG_LEVEL=debug in the environment shows where.", file=sys.stderr)
