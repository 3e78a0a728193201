"""What counts as evidence that a replica serves a change."""

from datetime import UTC, datetime, timedelta

import pytest

from recsys.domain.replica import Change, ReplicaRow, Roster, SyncedTenant, Verdict, judge_replica

COMMITTED = datetime(2026, 1, 1, tzinfo=UTC)
HAIR = timedelta(microseconds=1)


def judged(
    said: SyncedTenant | None, synced_through: datetime | None, *, age_s: float = 0.5, invalidations: int = 0
) -> Verdict:
    now = COMMITTED + timedelta(seconds=1)
    replica = ReplicaRow(
        id="r", host="h", pid=1, code_version="1", started_at=COMMITTED, heartbeat_at=now - timedelta(seconds=age_s),
        synced_through=synced_through, tenants={"t": said} if said else {},
    )  # fmt: skip
    change = Change(tenant_id="t", committed_by=COMMITTED, revision=7, invalidations=invalidations)
    return judge_replica(replica, Roster(read_at=now, replicas=[replica]), change)


def said(revision: int | None, *, invalidations: int = 0, incompatible: str | None = None) -> SyncedTenant:
    return SyncedTenant(revision=revision, data_revision=1, invalidations=invalidations, incompatible=incompatible)


def test_a_poll_that_began_after_the_commit_has_seen_it() -> None:
    assert judged(None, COMMITTED + HAIR) == "converged"


@pytest.mark.parametrize("synced_through", [None, COMMITTED - HAIR, COMMITTED])
def test_a_poll_that_may_have_begun_before_the_commit_proves_nothing(synced_through: datetime | None) -> None:
    assert judged(None, synced_through) == "behind"


@pytest.mark.parametrize("revision", [7, 8])
def test_a_poll_that_began_a_hair_before_the_commit_and_saw_it_speaks_by_the_tenant(revision: int) -> None:
    assert judged(said(revision), COMMITTED - HAIR) == "converged"


@pytest.mark.parametrize("revision", [None, -1, 6])
def test_a_tenant_that_is_named_as_behind_is_behind_however_late_the_poll(revision: int | None) -> None:
    assert judged(said(revision), COMMITTED + timedelta(hours=1)) == "behind"


def test_a_replica_that_cannot_read_the_change_is_incompatible_only_once_it_has_seen_it() -> None:
    assert judged(said(7, incompatible="config"), COMMITTED + HAIR) == "incompatible"
    assert judged(said(6, incompatible="config"), COMMITTED + HAIR) == "behind"


def test_without_evidence_one_that_missed_its_heartbeats_is_silent() -> None:
    assert judged(None, COMMITTED, age_s=3.1) == "silent"
    assert judged(said(6), COMMITTED, age_s=3.1) == "silent"
    assert judged(said(7), COMMITTED, age_s=30) == "converged", "it never goes back, so what it said once holds"


def test_an_invalidation_has_to_be_followed_too() -> None:
    assert judged(said(7, invalidations=1), COMMITTED + HAIR, invalidations=2) == "behind"
    assert judged(said(7, invalidations=2), COMMITTED - HAIR, invalidations=2) == "converged"
