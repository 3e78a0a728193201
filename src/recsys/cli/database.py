"""Work on a database without a service, with its errors in words that say what to do."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.cli.failure import Failure, Misused
from recsys.domain.errors import ArtifactStoreNotReady, InvalidRequest, NotReady, RecsysError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SQLITE = "sqlite:///"
_EXAMPLE = "Write it like this: --db sqlite:///recsys.db"
_DRIVERS = ("asyncpg", "sqlalchemy", "sqlite3")
_ERROR_CLASS = re.compile(r"^\([\w.]+\) |^<class '[\w.]+'>: ")
"""How SQLAlchemy begins: with the class of the driver's error."""


@contextmanager
def database_errors(db: str) -> Iterator[None]:
    """Turn what went wrong with the database ``db`` into a failure with the next step."""
    require_place(db)
    try:
        yield
    except InvalidRequest as error:
        raise Misused(error.detail, _EXAMPLE) from None
    except ArtifactStoreNotReady as error:
        raise Failure(
            error.detail, "Are RECSYS_ARTIFACTS and RECSYS_CACHE_DIR right, and may both be read and written?"
        ) from None
    except NotReady as error:
        raise _unreachable(db, error.__cause__) from None
    except RecsysError as error:
        raise Failure(error.detail, f"See how far it is: recsys migrate status --db {without_password(db)}") from None
    except Exception as error:
        # A wrong password, or a database that is not there: the driver's own words are the best there are.
        if type(error).__module__.partition(".")[0] in _DRIVERS:
            raise _unreachable(db, error) from None
        raise


def require_place(db: str) -> None:
    """Refuse a SQLite URL under which no file can be: without a name, or in a folder that is not there.

    Raises:
        Misused: saying how it is written.
    """
    if db.partition("?")[0].rstrip("/") == "sqlite:":
        raise Misused(f"{db} names no file.", _EXAMPLE)
    file = sqlite_file(db)
    if file is not None and file.is_dir():
        raise Misused(f"{file} is a folder; a database is a file.", _EXAMPLE)
    if file is not None and not file.absolute().parent.is_dir():
        raise Misused(f"There is no folder {file.absolute().parent}.", "Make it, or check the path.")


def _unreachable(db: str, cause: BaseException | None) -> Failure:
    words = getattr(cause, "strerror", None) or str(cause or "") or "no answer"  # a time that ran out has no words
    words = _ERROR_CLASS.sub("", words.partition("\n")[0]).rstrip(".")
    file = sqlite_file(db)
    check = "Are host, port, user and password right?" if file is None else f"Check the path and its rights: {file}"
    return Failure(f"The database {without_password(db)} cannot be reached: {words}.", check)


def require_file(db: str) -> None:
    """Refuse a SQLite file that is not there, which opening it would create, empty.

    Raises:
        Failure: naming the command that makes it.
    """
    file = sqlite_file(db)
    if file is not None and not file.exists():
        raise Failure(f"There is no database at {file}.", f"Check the path, or make it: recsys migrate up --db {db}")


async def require_schema(db: str) -> None:
    """Refuse a database that lacks a migration.

    Raises:
        Failure: naming the command that applies it.
        NotReady: the database cannot be reached.
    """
    from recsys.storage.engine import open_database
    from recsys.storage.migrate import status

    database = open_database(db)
    try:
        missing = [state.revision for state in await status(database) if not state.applied]
    finally:
        await database.close()
    if missing:
        raise Failure(
            f"The database lacks migration {', '.join(missing)}.", f"Run: recsys migrate up --db {without_password(db)}"
        )


def sqlite_file(db: str) -> Path | None:
    """The file that a SQLite URL names; None for other databases and for one in memory."""
    name = db.removeprefix(_SQLITE).partition("?")[0]
    return Path(name) if db.startswith(_SQLITE) and name not in ("", ":memory:") else None


def without_password(db: str) -> str:
    """The URL as it may be shown."""
    scheme, separator, rest = db.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{host}"
