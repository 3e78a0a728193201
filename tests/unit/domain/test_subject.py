"""Keys of subjects: a keyed hash, apart by tenant and kind, remembered within bounds."""

import hashlib
import hmac

import pytest

from recsys.domain.experiment import subject_of
from recsys.domain.recommend import User
from recsys.domain.subject import KINDS, SubjectKeys

SALT = b"0123456789abcdef"


def test_the_golden_vector_computed_by_hand() -> None:
    # HMAC-SHA256 under the salt of "t1", NUL, "user_id", NUL, "ann"; of its 32 bytes the first 16, as hex.
    message = b"t1" + b"\0" + b"user_id" + b"\0" + b"ann"
    whole = hmac.new(SALT, message, hashlib.sha256).hexdigest()
    assert SubjectKeys(SALT).of("t1", User(user_id="ann")) == whole[:32] == "8e21537db21fbeef7d7fa882520e77d7"


def test_tenants_kinds_and_salts_keep_apart() -> None:
    keys = SubjectKeys(SALT)
    made = {keys.key(tenant, kind, "7") for tenant in ("t1", "t2") for kind in KINDS}
    assert len(made | {SubjectKeys(b"another salt 456").key("t1", "user_id", "7")}) == 7


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_key_is_that_of_the_subject_of_an_assignment(count: int) -> None:
    given = {kind: f"the {kind}" for kind in KINDS[-count:]}
    user = User(**given)
    assert SubjectKeys(SALT).of("t", user) == SubjectKeys(SALT).key("t", KINDS[-count], subject_of(user))


def test_nobody_has_no_key_and_without_a_salt_nobody_has_one() -> None:
    keys = SubjectKeys()
    readiness = [keys.ready]
    assert keys.of("t", User(user_id="ann")) == ""
    keys.use(SALT)
    assert [*readiness, keys.ready] == [False, True]
    assert keys.of("t", User(user_id="ann")) == SubjectKeys(SALT).of("t", User(user_id="ann"))
    assert keys.of("t", User()) == keys.of("t", User(user_id="")) == ""


def test_the_memory_is_bounded_and_forgetting_changes_no_key() -> None:
    keys = SubjectKeys(SALT, memory=10)
    first = [keys.key("t", "user_id", str(n)) for n in range(100)]
    assert len(keys._recent) + len(keys._older) <= 20
    assert [keys.key("t", "user_id", str(n)) for n in range(100)] == first
