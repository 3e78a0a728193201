"""Who has followed, as replicas last told."""

from datetime import UTC, datetime, timedelta
from math import inf
from typing import cast

import pytest

from recsys.control.read_status import LastChange, read_following
from recsys.domain.ports import ReplicaRegistry
from recsys.domain.replica import NEWS_S, ReplicaRow, Roster, SyncedTenant
from recsys.domain.tenant import Tenant

CHANGED_AT = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = Tenant(id="t", external_id="t", name="t", revision=5, created_at=CHANGED_AT - timedelta(days=1))
LAST = LastChange(revision=5, at=CHANGED_AT, by="ann", by_type="user", action="config.update", reason=None)


class OneReplica:
    """A replica that served the change after 0.05 s, writes its row every second and polled a second before that.

    ``ends``: after so many seconds it writes no more.
    """

    def __init__(self, seconds: float, revision: int, ends: float = inf) -> None:
        self._now, self._revision, self._ends = seconds, revision, ends

    async def roster(self) -> Roster:
        beat = int(min(self._now, self._ends)) + 0.05
        named = {"t": SyncedTenant(revision=self._revision, data_revision=0, invalidations=0)}
        row = ReplicaRow(
            id="r", host="h", pid=1, code_version="1", started_at=TENANT.created_at, heartbeat_at=_at(beat),
            synced_through=_at(beat - 1), tenants=named if beat - 0.05 <= NEWS_S else {},
        )  # fmt: skip
        return Roster(read_at=_at(max(self._now, beat)), replicas=[row])


def _at(seconds: float) -> datetime:
    return CHANGED_AT + timedelta(seconds=seconds)


@pytest.mark.parametrize("tenths", range(0, 120, 3))
async def test_a_replica_that_followed_is_never_called_behind(tenths: int) -> None:
    registry = cast("ReplicaRegistry", OneReplica(tenths / 10, revision=5))
    assert (await read_following(registry, TENANT, LAST)).others == {}


async def test_a_replica_that_serves_an_older_revision_is() -> None:
    registry = cast("ReplicaRegistry", OneReplica(1.5, revision=4))
    assert (await read_following(registry, TENANT, LAST)).others == {"r": "behind"}


@pytest.mark.parametrize("ends", [1.0, 20.0])
async def test_a_replica_that_followed_and_is_silent_since_is_not_live(ends: float) -> None:
    registry = cast("ReplicaRegistry", OneReplica(ends + 10, revision=5, ends=ends))
    found = await read_following(registry, TENANT, LAST)
    assert (found.converged, found.live, found.others) == (False, 0, {"r": "silent"})
