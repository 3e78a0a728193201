"""How long the tests under faults run: short with everything else, long by ``make torture``."""

import os
from typing import Final

LONG: Final = os.environ.get("TORTURE") == "1"


def effort(short: int, long: int) -> int:
    """How often to do something."""
    return long if LONG else short
