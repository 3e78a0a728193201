"""VMIS-kNN: which past sessions are found, in which order, and what they weigh."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from recsys.ranking.arrays import as_indices
from recsys.ranking.session_index import SessionIndex, _log, build_session_index
from tests.support.reference import Reference


def index_of(sessions: list[list[int]], item_count: int = 10) -> SessionIndex:
    starts = np.cumsum([0, *map(len, sessions)])
    return build_session_index(starts, as_indices(item for each in sessions for item in each), item_count)


def found(index: SessionIndex, *anchors: int) -> dict[int, float]:
    sessions, weights = index.find(as_indices(anchors))
    return dict(zip(sessions.tolist(), weights.tolist(), strict=True))


def test_the_most_alike_come_first_and_of_equals_the_more_recent() -> None:
    index = index_of([[1, 2], [2], [1], [3], [2, 1, 2], [1, 5]])

    assert list(found(index, 1, 2)) == [4, 0, 1, 5, 2]
    assert found(index, 7) == {}
    assert found(index) == {}


def test_a_session_weighs_what_it_has_of_the_anchors_and_all_items_together_come_to_their_places() -> None:
    """idf: 1 in four of six sessions ln 3/2, 2 in three ln 2, 3 and 5 in one ln 6. Before they are shares, sessions say
    4, 0: 1.5 · 0.9 · (ln 3/2 + ln 2); 1: 1 · 0.9 · ln 2; 5: 1/2 · 0.8 · (ln 3/2 + ln 6); 2: 1/2 · 0.8 · ln 3/2; and with
    two anchors all of it comes to 1/2 + 2/2.
    """
    index = index_of([[1, 2], [2], [1], [3], [2, 1, 2], [1, 5]])
    said = {4: 1.35, 0: 1.35, 1: 0.9, 5: 0.4, 2: 0.4}
    given = 2.7 * math.log(3) + 0.9 * math.log(2) + 0.4 * math.log(9) + 0.4 * math.log(1.5)

    assert found(index, 1, 2) == pytest.approx({session: weight * 1.5 / given for session, weight in said.items()})
    # One anchor: each of four sessions says 1 · 0.9; of ln 3/2 · 4 + ln 2 · 2 + ln 6 it is 1.
    assert found(index, 1)[2] == pytest.approx(1 / (4 * math.log(1.5) + 2 * math.log(2) + math.log(6)))


def test_where_all_sessions_have_the_same_nothing_is_shared_out() -> None:
    assert found(index_of([[1, 2], [1, 2]]), 2) == {1: 0.9, 0: 0.9}


def test_only_the_most_recent_are_looked_at_and_only_so_many_of_them_speak() -> None:
    sessions = [[1, 2]] * 10 + [[1]] * 480 + [[2]] * 30
    neighbours = found(index_of(sessions), 1, 2)

    assert len(neighbours) == 50
    assert list(neighbours)[:30] == list(range(519, 489, -1))  # the last anchor weighs more
    assert list(neighbours)[30:] == list(range(489, 469, -1))  # the ten that have both are too old


def test_the_items_of_a_session_are_there_once_each_with_how_rare_they_are() -> None:
    index = index_of([[4, 2, 4], [2], [2, 3]])
    items, values = index.items.row(0)

    assert items.tolist() == [2, 4]
    assert values == pytest.approx([0.0, math.log(3)], abs=1e-15)
    assert index.postings.row(2).tolist() == [0, 1, 2]


def test_the_logarithm_is_one() -> None:
    values = np.array([1.0, 1.5, 2.0, math.e, 10.0, 1e-9, 12345.678, 1e15, 5e-324])
    assert _log(values) == pytest.approx([math.log(value) for value in values], rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_plain_python(seed: int) -> None:
    chance = random.Random(seed)
    sessions = [chance.choices(range(30), k=chance.randint(1, 12)) for _ in range(chance.choice([0, 5, 700]))]
    index, anchors = index_of(sessions, 30), chance.sample(range(30), chance.randint(1, 2))
    sums: dict[str, float] = {}
    for session, weight in found(index, *anchors).items():
        items, values = index.items.row(session)
        for item, value in zip(items.tolist(), values.tolist(), strict=True):
            sums[f"{item:02}"] = sums.get(f"{item:02}", 0.0) + value * weight

    named = [[f"{item:02}" for item in each] for each in sessions]
    assert sums == Reference.nearest_sessions(named, [f"{item:02}" for item in anchors])
