"""Every signal that is made of events, on a few of them, by hand."""

from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import get_args

import msgspec
import pytest

from recsys.pipelines.kinds.cooc import cooc
from recsys.pipelines.kinds.history import history
from recsys.pipelines.kinds.implicit import implicit
from recsys.pipelines.kinds.popularity import popularity
from recsys.pipelines.kinds.session_knn import session_knn
from recsys.pipelines.kinds.session_seq import session_seq
from recsys.pipelines.settings import (
    Cooc,
    History,
    Implicit,
    ImplicitMethod,
    Limits,
    Popularity,
    SessionKnn,
    SessionSeq,
)
from recsys.pipelines.visits import select_events
from tests.support.pipeline import BEGIN, WINDOW, Bench, Event, as_dict, random_events, sessions, silent, two_groups

DAY = 1_440
THREE = sessions(x="ab", y="abc", z="bd")
"""Together: a–b twice, a–c, b–c and b–d once. In sessions: a 2, b 3, c 1, d 1."""


def made_popularity(bench: Bench, settings: Popularity, *events: Event) -> dict[tuple[str, ...], float]:
    selected = select_events(bench.engine.read([bench.events(*events)]), None)
    return as_dict(popularity(bench.engine, selected, settings, WINDOW))


def test_popularity_adds_weights_by_type_halved_with_every_half_life(bench: Bench) -> None:
    events = [
        Event("a", minute=9 * DAY),
        Event("a", minute=7 * DAY, kind="purchase"),
        Event("b", minute=5 * DAY + 1_439, kind="click"),
        Event("c", minute=9 * DAY, kind="conversion"),
    ]
    found = made_popularity(bench, Popularity(half_life_days=2), *events)
    assert found == {("a",): 1 + 8 / 2, ("b",): 2 / 4}


def test_popularity_without_a_half_life_counts_every_day_alike(bench: Bench) -> None:
    found = made_popularity(bench, Popularity(half_life_days=None, weights={"view": 0.5}), Event("a"), Event("a"))
    assert found == {("a",): 1.0}


def made_cooc(bench: Bench, settings: Cooc, *events: Event, chunk: int = 1_000) -> dict[tuple[str, ...], float]:
    limits = Limits(pairs_per_chunk=chunk)
    return as_dict(cooc(bench.coded(*events), settings, limits, WINDOW, silent))


def test_cooc_counts_sessions_both_ways(bench: Bench) -> None:
    counted = {"ab": 2.0, "ac": 1.0, "bc": 1.0, "bd": 1.0}
    both = {tuple(pair): n for pair, n in counted.items()} | {tuple(pair[::-1]): n for pair, n in counted.items()}
    assert made_cooc(bench, Cooc(weighting="count"), *THREE) == both


def test_cooc_as_cosine_divides_by_the_sessions_of_both(bench: Bench) -> None:
    found = made_cooc(bench, Cooc(weighting="cosine"), *THREE)
    assert found["a", "b"] == found["b", "a"] == 2 / sqrt(2 * 3)
    assert found["b", "d"] == 1 / sqrt(3 * 1)


def test_cooc_as_rp3beta_discounts_popular_neighbours_and_sums_to_one(bench: Bench) -> None:
    found = made_cooc(bench, Cooc(weighting="rp3beta", beta=1.0), *THREE)
    to_a, to_c, to_d = 2 / 2, 1 / 1, 1 / 1
    assert found["b", "a"] == to_a / (to_a + to_c + to_d)
    assert found["d", "b"] == 1.0


def test_cooc_fades_with_the_age_of_the_session(bench: Bench) -> None:
    old = [Event(item, session="old", minute=7 * DAY + place) for place, item in enumerate("ab")]
    new = [Event(item, session="new", minute=9 * DAY + place) for place, item in enumerate("ab")]
    found = made_cooc(bench, Cooc(weighting="count", half_life_days=2), *old, *new)
    assert found["a", "b"] == 1 + 1 / 2


def test_cooc_keeps_the_heaviest_neighbours_ties_to_the_lower_id(bench: Bench) -> None:
    found = made_cooc(bench, Cooc(weighting="count", neighbours=2), *THREE)
    assert {pair: score for pair, score in found.items() if pair[0] == "b"} == {("b", "a"): 2.0, ("b", "c"): 1.0}


def test_chunks_of_any_size_give_the_same(bench: Bench) -> None:
    events = random_events(800, seed=3)
    settings = Cooc(neighbours=5, half_life_days=3)
    assert made_cooc(bench, settings, *events, chunk=7) == made_cooc(bench, settings, *events, chunk=10**9)


def test_the_next_item_is_another_one_and_has_its_share_of_the_steps(bench: Bench) -> None:
    coded = bench.coded(*sessions(x="aabab", y="bc"))
    found = as_dict(session_seq(coded, SessionSeq(), WINDOW))
    assert found == {("a", "b"): 1.0, ("b", "a"): 0.5, ("b", "c"): 0.5}


def test_session_knn_keeps_the_latest_sessions_of_each_item_whole_and_numbers_them_by_time(bench: Bench) -> None:
    coded = bench.coded(*sessions(first="ab", alone="a", second="ba", third="cb"))
    table = session_knn(coded, SessionKnn(sessions_per_item=1))
    rows = [(row["session"], row["item_id"], row["position"]) for row in table.to_pylist()]
    # a's latest is the second, b's and c's the third; "first" is nobody's, "alone" has nothing to continue with.
    assert rows == [(0, "b", 0), (0, "a", 1), (1, "c", 0), (1, "b", 1)]
    assert table.column("at")[0].as_py() == BEGIN + timedelta(minutes=120)


def test_history_keeps_the_last_events_of_a_user_oldest_first(bench: Bench) -> None:
    events = [Event("a", minute=1), Event("b", minute=2, kind="purchase"), Event("a", minute=3), Event("c", user="")]
    table = history(bench.coded(*events, Event("d", user="v")), History(events_per_user=2))
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("u", "b", "purchase", datetime(2026, 1, 1, 0, 2, tzinfo=UTC)),
        ("u", "a", "view", datetime(2026, 1, 1, 0, 3, tzinfo=UTC)),
        ("v", "d", "view", BEGIN),
    ]


def made_implicit(bench: Bench, settings: Implicit, *events: Event) -> dict[tuple[str, ...], float]:
    return as_dict(implicit(bench.coded(*events), settings, Limits(), silent))


def test_a_user_is_given_what_goes_with_his_items_and_not_what_he_has(bench: Bench) -> None:
    found = made_implicit(bench, Implicit(beta=0.0), *THREE)
    # p(a, b) = 2/3, p(a, c) = 1/3; p(b, a) = 2/4, p(b, c) = p(b, d) = 1/4; p(d, b) = 1.
    expected = {
        ("x", "c"): 1 / 3 + 1 / 4,
        ("x", "d"): 1 / 4,
        ("y", "d"): 1 / 4,
        ("z", "a"): 2 / 4,
        ("z", "c"): 1 / 4,
    }
    assert found == pytest.approx(expected)


def test_a_list_has_at_most_so_many_items(bench: Bench) -> None:
    found = made_implicit(bench, Implicit(beta=0.0, items=1), *THREE)
    assert set(found) == {("x", "c"), ("y", "d"), ("z", "a")}


@pytest.mark.parametrize("settings", [Implicit(), Implicit(method="als", factors=4)], ids=["rp3beta", "als"])
def test_with_repeats_a_list_has_what_the_user_has_too(bench: Bench, settings: Implicit) -> None:
    without = made_implicit(bench, settings, *two_groups())
    found = made_implicit(bench, msgspec.structs.replace(settings, repeats=True), *two_groups())
    had = {(event.user, event.item) for event in two_groups()}
    assert not had & without.keys()
    assert had & found.keys()
    assert {pair: score for pair, score in found.items() if pair not in had}.items() <= without.items()


@pytest.mark.parametrize("method", get_args(ImplicitMethod))
def test_what_a_user_had_before_his_last_items_is_not_on_his_list_either(bench: Bench, method: ImplicitMethod) -> None:
    """Of ``me`` only b, c and d count; with them go a, which he had first, and n, which is new to him."""
    events = sessions(me="abcd", one="abn", two="acn")
    settings = Implicit(method=method, factors=4, user_items=3)
    assert {item for user, item in made_implicit(bench, settings, *events) if user == "me"} == {"n"}
    again = made_implicit(bench, msgspec.structs.replace(settings, repeats=True), *events)
    assert {item for user, item in again if user == "me"} >= {"a", "n"}


def test_als_finds_the_items_of_like_users_and_is_the_same_again(bench: Bench) -> None:
    settings = Implicit(method="als", factors=4, iterations=10, items=1)
    found = made_implicit(bench, settings, *two_groups())
    assert found.keys() >= {("p1", "a"), ("q1", "w")}
    assert found == made_implicit(bench, settings, *two_groups())
