"""The file of the last known good: what was written comes back, and nothing else ever does."""

from __future__ import annotations

import fcntl
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.domain.access import Role
from recsys.domain.api_key import ApiKey
from recsys.domain.history import Pointers
from recsys.domain.last_good import KeptDocuments, LastGood, LastGoodRefused
from recsys.domain.ports import Overview, TenantHead
from recsys.domain.tenant import Tenant
from recsys.storage.last_good import LastGoodFile

NOW = datetime(2026, 1, 1, 12, 30, 1, 250_000, tzinfo=UTC)


def state(revision: int = 7, *, seconds: float = 0, name: str = "Démo") -> LastGood:
    at = NOW + timedelta(seconds=seconds)
    tenant = Tenant(id="t", external_id="demo", name=name, status="suspended", revision=revision, created_at=NOW)
    key = ApiKey(
        id="k", tenant_id="t", name="web", role=Role.SERVING, hint="rsk_", key_hash="ab", created_at=NOW,
        created_by_sub="ann",
    )  # fmt: skip
    documents = KeptDocuments(
        tenant_id="t",
        revision=revision,
        read_at=at,
        current=Pointers(config="c2", manifests={"home": "m"}),
        before=Pointers(config="c1"),
        texts={"c1": "{}", "c2": '{"weights":{"pop":1}}', "m": "{}"},
    )
    head = TenantHead(tenant=tenant, surfaces={"home": 3}, load_ids={"home": "load"})
    return LastGood(read_at=at, overview=Overview(heads=[head], keys=[key]), documents=[documents])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "last-good.json"


def a_file(path: Path, database: str = "db") -> LastGoodFile:
    return LastGoodFile(path.parent, database)


def test_what_was_kept_comes_back_whole(path: Path) -> None:
    a_file(path).keep(state())
    assert a_file(path).read() == state()


def test_there_is_nothing_before_something_was_kept(path: Path) -> None:
    assert a_file(path).read() is None
    assert not a_file(path).exists


def test_only_its_owner_can_read_it(path: Path) -> None:
    a_file(path).keep(state())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(each.name for each in path.parent.iterdir()) == ["last-good.json", "last-good.lock"]


def test_a_flipped_bit_anywhere_is_refused(path: Path) -> None:
    a_file(path).keep(state())
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(LastGoodRefused, match=str(path)):
            a_file(path).read()


@pytest.mark.parametrize("kept", [0, 5, 60, 90, -1])
def test_a_file_that_was_cut_short_is_refused(path: Path, kept: int) -> None:
    a_file(path).keep(state())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(LastGoodRefused):
        a_file(path).read()


def test_a_file_of_another_layout_is_refused(path: Path) -> None:
    a_file(path).keep(state())
    path.write_bytes(path.read_bytes().replace(b"recsys-last-good 1 ", b"recsys-last-good 2 ", 1))
    with pytest.raises(LastGoodRefused, match="its layout is 2, not 1"):
        a_file(path).read()


def test_the_copy_of_another_database_is_refused(path: Path) -> None:
    a_file(path, "another").keep(state())
    with pytest.raises(LastGoodRefused, match="another database"):
        a_file(path).read()


def test_a_damaged_file_is_replaced_by_the_next_one(path: Path) -> None:
    a_file(path).keep(state())
    path.write_bytes(b"rot")
    a_file(path).keep(state(8))
    assert a_file(path).read() == state(8)


def test_nothing_is_written_while_nothing_changes(path: Path) -> None:
    mine, theirs = a_file(path), a_file(path)
    mine.keep(state())
    written = path.stat().st_ino
    mine.keep(state(seconds=5))
    theirs.keep(state(seconds=6))
    assert path.stat().st_ino == written
    mine.keep(state(seconds=61))
    assert a_file(path).read() == state(seconds=61), "but now and then, so that its age is known"


def test_what_another_worker_read_later_is_not_overwritten(path: Path) -> None:
    slow, quick = a_file(path), a_file(path)
    slow.keep(state(5))
    quick.keep(state(8, seconds=2))
    slow.keep(state(7, seconds=1))
    assert a_file(path).read() == state(8, seconds=2)
    slow.keep(state(3, seconds=3))
    assert a_file(path).read() == state(3, seconds=3), "a lower revision read later: the database was restored"


def test_who_finds_another_writing_leaves_it_at_that(path: Path) -> None:
    kept = a_file(path)
    kept.keep(state())
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    kept.keep(state(8, seconds=1))
    assert a_file(path).read() == state()
    os.close(descriptor)
    kept.keep(state(8, seconds=1))
    assert a_file(path).read() == state(8, seconds=1)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="cache"):
        a_file(tmp_path / "cache" / "last-good.json").keep(state())
