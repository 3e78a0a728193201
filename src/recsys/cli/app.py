"""The command line ``recsys``."""

from __future__ import annotations

import os
import sys
import traceback


def main() -> None:
    """Run a command: exit code 0 when it did what was asked, 1 when it failed, 2 when it was asked wrongly."""
    try:
        from recsys.cli.commands import build_app  # here, so that Ctrl-C while modules load ends it quietly, too

        build_app()()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - nobody is left who could know what it means
        _tell_defect(error)
        sys.exit(1)


def _tell_defect(error: Exception) -> None:
    if os.environ.get("RECSYS_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    what = " ".join(str(error).split()) or "no message"
    print(f"{type(error).__name__}: {what[:300]}", file=sys.stderr)
    print("→ This is a defect of recsys. RECSYS_LOG_LEVEL=debug in the environment shows where.", file=sys.stderr)
