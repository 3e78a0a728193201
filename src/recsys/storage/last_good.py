"""The last known good of a host in one file, so that a restart without the database has something to serve.

Layout: a line ``recsys-last-good <layout> <SHA-256, hex>``, then JSON, over all of which the hash is. The file belongs
to one database, whose identity stands in it, and is written to a new file that takes its place when it is on the disk.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from recsys.domain.last_good import KeptDocuments, LastGood, LastGoodRefused, newest, says_the_same
from recsys.domain.ports import Overview
from recsys.storage.host_files import sync_directory, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T")

LAYOUT: Final = 1
_MAGIC: Final = b"recsys-last-good "
_WORDS: Final = 3
_CONFIRMED_EVERY: Final = timedelta(minutes=1)
_LOCK_SECONDS: Final = 1.0
_LOCK_POLL_SECONDS: Final = 0.02
_NAME: Final = "last-good.json"


class _Body(msgspec.Struct, Generic[T], kw_only=True, forbid_unknown_fields=True):
    """The JSON of a file. To write, documents come encoded: few of many tenants change at a time."""

    database: str
    read_at: datetime
    overview: Overview
    documents: list[T]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Body[KeptDocuments])


class LastGoodFile:
    """A file in a directory that the workers of a host share; ``database``: the identity of what it is a copy of."""

    def __init__(self, directory: Path, database: str) -> None:
        self._path = directory / _NAME
        self._database = database
        self._known: tuple[bytes, LastGood] | None = None
        self._encoded: dict[str, tuple[KeptDocuments, msgspec.Raw]] = {}

    @property
    def exists(self) -> bool:
        """Whether there is a file, of whatever content."""
        return self._path.exists()

    def read(self) -> LastGood | None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        state = self._decode(content)
        self._known = (_head(content), state)
        return state

    def keep(self, state: LastGood) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock() as locked:
            if not locked:
                return  # another worker is writing, or stopped while it did; the next call finds what it wrote
            there = self._there()
            if there is not None:
                state = newest(state, there)
                if says_the_same(state, there) and state.read_at - there.read_at < _CONFIRMED_EVERY:
                    return
            self._write(state)

    def _there(self) -> LastGood | None:
        """What the file says; read only if another worker has written it. None: nothing that could be served."""
        try:
            with self._path.open("rb") as file:
                head = file.readline(200)
            if self._known is not None and self._known[0] == head:
                return self._known[1]
            return self.read()
        except (FileNotFoundError, LastGoodRefused):
            return None

    def _write(self, state: LastGood) -> None:
        content = self._encode(state)
        made = self._path.with_suffix(".new")
        made.unlink(missing_ok=True)
        try:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._path)
        except OSError:
            with suppress(OSError):
                made.unlink(missing_ok=True)
            raise
        sync_directory(self._path.parent)
        self._known = (_head(content), state)

    def _encode(self, state: LastGood) -> bytes:
        encoded: dict[str, tuple[KeptDocuments, msgspec.Raw]] = {}
        for each in state.documents:
            before = self._encoded.get(each.tenant_id)
            known = before is not None and before[0] is each
            encoded[each.tenant_id] = before if before and known else (each, msgspec.Raw(_encoder.encode(each)))
        self._encoded = encoded
        body = _encoder.encode(
            _Body(
                database=self._database,
                read_at=state.read_at,
                overview=state.overview,
                documents=[raw for _, raw in encoded.values()],
            )
        )
        return _first_line(body) + body

    def _decode(self, content: bytes) -> LastGood:
        head = _head(content)
        words = head.split(b" ")
        if not head.startswith(_MAGIC) or len(words) != _WORDS:
            raise self._refused("it does not begin as such a file does")
        if words[1] != str(LAYOUT).encode():
            raise self._refused(f"its layout is {words[1][:20].decode('ascii', 'replace')}, not {LAYOUT}")
        body = content[len(head) :]
        if head != _first_line(body):
            raise self._refused("its content does not have the hash that it was written with")
        try:
            found = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise self._refused(f"its content cannot be read: {error}") from error
        if found.database != self._database:
            raise self._refused("it is the copy of another database")
        return LastGood(read_at=found.read_at, overview=found.overview, documents=found.documents)

    def _refused(self, reason: str) -> LastGoodRefused:
        return LastGoodRefused(f"{self._path}: {reason}")

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not (locked := try_lock(descriptor)) and time.monotonic() < deadline:
                time.sleep(_LOCK_POLL_SECONDS)
            yield locked
        finally:
            os.close(descriptor)


def _first_line(body: bytes) -> bytes:
    return _MAGIC + f"{LAYOUT} {hashlib.sha256(body).hexdigest()}\n".encode("ascii")


def _head(content: bytes) -> bytes:
    return content[: content.find(b"\n") + 1]
