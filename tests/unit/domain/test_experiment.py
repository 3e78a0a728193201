"""Assignment: the same on every replica, in the shares asked for, and stable when the traffic share grows."""

import hashlib
import hmac
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from recsys.domain.config import Experiment, Variant
from recsys.domain.experiment import assign, concerns, subject_of
from recsys.domain.recommend import User

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AB = Experiment(id="ab", salt="s", variants=[Variant(name="a", weight=3), Variant(name="b", weight=1)])


def names(experiment: Experiment, count: int = 4_000) -> list[str | None]:
    found = (assign(experiment, f"user-{n}") for n in range(count))
    return [variant.name if variant else None for variant in found]


def test_the_golden_vector_computed_by_hand() -> None:
    # HMAC-SHA256("s", "variant\0ab\0ann"), its first 53 bits over 2^53, times the sum of the weights, 4:
    # below 3 it is a, from 3 on b.
    digest = hmac.new(b"s", b"variant\0ab\0ann", hashlib.sha256).digest()
    point = (int.from_bytes(digest[:8], "big") >> 11) / 2**53 * 4
    chosen = assign(AB, "ann")

    assert chosen is not None
    assert chosen.name == ("a" if point < 3 else "b")


def test_shares_are_those_of_the_weights() -> None:
    counts = Counter(names(AB))
    # 4,000 draws with p = 3/4: 3,000 ± 27 (one standard deviation); five of them either way.
    assert abs(counts["a"] - 3_000) < 5 * 27
    assert counts["a"] + counts["b"] == 4_000


def test_a_weight_of_zero_gets_nobody_and_a_share_of_zero_nobody_at_all() -> None:
    only = msgspec.structs.replace(AB, variants=[Variant(name="a", weight=0), Variant(name="b", weight=1)])
    assert set(names(only)) == {"b"}
    assert set(names(msgspec.structs.replace(AB, traffic=0.0))) == {None}


def test_raising_the_traffic_share_moves_nobody_between_variants() -> None:
    some, all_ = names(msgspec.structs.replace(AB, traffic=0.2)), names(AB)

    assert all(before in (None, after) for before, after in zip(some, all_, strict=True))
    assert abs(sum(name is not None for name in some) - 800) < 5 * 26


def test_salts_and_experiments_are_independent() -> None:
    other = msgspec.structs.replace(AB, salt="t")
    both = Counter(zip(names(AB), names(other), strict=True))
    assert abs(both["b", "b"] - 4_000 / 16) < 5 * 16


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        (User(user_id="u", anonymous_id="a", session_id="s"), "u"),
        (User(anonymous_id="a", session_id="s"), "a"),
        (User(session_id="s"), "s"),
    ],
)
def test_the_subject_is_the_most_lasting_id(user: User, subject: str) -> None:
    assert subject_of(user) == subject


def test_windows_are_half_open_and_surfaces_and_segments_must_match() -> None:
    hour = timedelta(hours=1)
    running = msgspec.structs.replace(AB, surface="home", segment="new", starts_at=NOON, ends_at=NOON + hour)
    assert concerns(running, "home", "new", NOON)
    assert not concerns(running, "home", "new", NOON - timedelta(microseconds=1))
    assert not concerns(running, "home", "new", NOON + hour)
    assert not concerns(running, "pdp", "new", NOON)
    assert not concerns(running, "home", "default", NOON)
    assert concerns(AB, "any", "any", NOON)
