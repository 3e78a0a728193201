"""The ``ReplicaClaims`` port: a locked file per replica in the directory of the run."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class LockedClaims:
    """Files named after replicas; whose lock can be had, its replica is dead."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: tuple[str, int] | None = None

    def take(self, replica_id: str) -> None:
        """Show that this replica lives for as long as its process does."""
        self._directory.mkdir(parents=True, exist_ok=True)
        unlocked = self._directory / f".{replica_id}"
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Under its name it is locked from the first moment, so that nobody can take it for an orphan.
        unlocked.rename(self._directory / replica_id)
        self._own = (replica_id, descriptor)

    def orphans(self) -> list[str]:
        """The replicas of this run that have died; each is named until it is forgotten."""
        own = self._own[0] if self._own else ""
        names = (path.name for path in self._directory.glob("[!.]*") if path.name != own)
        return sorted(name for name in names if self._is_orphan(name))

    def forget(self, replica_ids: Collection[str]) -> None:
        """These have been seen to."""
        for replica_id in replica_ids:
            (self._directory / replica_id).unlink(missing_ok=True)

    def release(self) -> None:
        """This replica ends."""
        if self._own is not None:
            replica_id, descriptor = self._own
            self._own = None
            self.forget([replica_id])
            os.close(descriptor)

    def _is_orphan(self, replica_id: str) -> bool:
        try:
            descriptor = os.open(self._directory / replica_id, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True
