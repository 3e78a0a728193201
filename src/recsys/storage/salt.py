"""The salt of subjects' keys, kept beside the log for those who have not set one."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "salt"


def read_salt(directory: Path) -> bytes | None:
    """The salt that is kept in a directory; None when there is none yet.

    It is the text of the file, so that it can be given to another host as a setting.

    Raises:
        OSError: it cannot be read, or the file is empty.
    """
    try:
        salt = (directory / NAME).read_bytes().strip()
    except FileNotFoundError:
        return None
    if not salt:
        raise OSError(f"{directory / NAME} is empty.")
    return salt


def keep_salt(directory: Path) -> bytes:
    """The salt of a directory, made when there is none. Of several that try at once, one wins and all get its salt.

    Raises:
        OSError: it can be neither read nor written.
    """
    found = read_salt(directory)
    if found is not None:
        return found
    own = directory / f".{NAME}-{secrets.token_hex(8)}"
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(32).encode("ascii") + b"\n")
        os.fsync(descriptor)
        # A link, unlike a rename, never takes the place of what another has put there meanwhile.
        os.link(own, directory / NAME)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        own.unlink()
    made = read_salt(directory)
    if made is None:
        raise OSError(f"{directory / NAME} is gone again.")
    return made
