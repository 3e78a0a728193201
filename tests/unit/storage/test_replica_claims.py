"""Who of a run has died: the files whose lock can be had."""

from pathlib import Path

from recsys.storage.replica_claims import LockedClaims


def claims(directory: Path, replica_id: str) -> LockedClaims:
    made = LockedClaims(directory / "replicas")
    made.take(replica_id)
    return made


def test_a_replica_that_lives_is_nobody_s_orphan_and_one_that_died_is_until_forgotten(tmp_path: Path) -> None:
    one, two = claims(tmp_path, "one"), claims(tmp_path, "two")
    assert one.orphans() == two.orphans() == []
    (tmp_path / "replicas" / "dead").touch()  # as the system leaves it: there, and not locked

    assert one.orphans() == ["dead"]
    assert two.orphans() == ["dead"], "looking takes nothing away"
    one.forget(["dead"])

    assert two.orphans() == []
    two.forget(["dead"])


def test_a_clean_end_leaves_nothing(tmp_path: Path) -> None:
    one, two = claims(tmp_path, "one"), claims(tmp_path, "two")
    two.release()
    two.release()
    assert one.orphans() == []
    one.release()
    assert list((tmp_path / "replicas").iterdir()) == []
