"""Whether a SQLite file has changed, at a hundredth of what reading from it costs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

Mark = tuple[int, int, int]


class FileWatch:
    """Looks at a file through a connection of its own, which writes nothing. For one thread at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._identity: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    def mark(self) -> Mark | None:
        """Something that differs once anybody has committed or replaced the file; None when it cannot be told.

        SQLite's data_version says whether any other connection, of whatever process, has committed:
        https://www.sqlite.org/pragma.html#pragma_data_version
        """
        try:
            found = self._file.stat()
            identity = (found.st_dev, found.st_ino)
            if self._connection is None or identity != self._identity:
                self.close()
                # Not immutable, but without the means to make a file where one is gone.
                url = f"file:{quote(str(self._file.resolve()))}?mode=rw"
                self._connection = sqlite3.connect(url, uri=True, timeout=0, check_same_thread=False)
                self._identity = identity
            with closing(self._connection.execute("PRAGMA data_version")) as cursor:
                return (*identity, int(cursor.fetchone()[0]))
        except (OSError, sqlite3.Error):
            self.close()
            return None

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
