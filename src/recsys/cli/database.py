"""Work on a database without a service, with its errors in words that say what to do."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.cli.failure import Failure
from recsys.domain.errors import InvalidRequest, RecsysError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SQLITE = "sqlite:///"


@contextmanager
def database_errors(db: str) -> Iterator[None]:
    """Turn what went wrong with the database ``db`` into a failure with the next step."""
    try:
        yield
    except InvalidRequest as error:
        raise Failure(error.detail, "Write it like this: --db sqlite:///recsys.db") from None
    except RecsysError as error:
        cause = str(error.__cause__ or "").partition("\n")[0]
        raise Failure(
            f"{error.detail} ({cause})" if cause else error.detail,
            f"See how far it is: recsys migrate status --db {without_password(db)}",
        ) from None


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
