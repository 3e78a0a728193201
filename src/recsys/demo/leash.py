"""``python -m recsys.demo.leash …`` is ``recsys …`` that ends with whoever started it, however that one ended.

Standard input is a pipe that only the parent holds open. Nobody writes to it; when the parent is gone it is at its end,
also after SIGKILL, on every system.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading


def _end_with_parent() -> None:
    # Not sys.stdin: a thread that waits inside of it would hold up the interpreter's own end.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="leash", daemon=True).start()
    runpy.run_module("recsys", run_name="__main__")
