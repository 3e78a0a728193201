"""Who is at the keyboard."""

from __future__ import annotations

import getpass


def os_user() -> str:
    """The name of whoever runs this; containers may have users without one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
