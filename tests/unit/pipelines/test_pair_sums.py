"""Pairs become lists: each neighbour once, in order, with the sum of the weights."""

import random

import numpy as np
import pyarrow as pa

from recsys.pipelines.pair_sums import add_up_pairs
from recsys.pipelines.window import FIXED_POINT


def pairs(*rows: tuple[int, int, int]) -> pa.Table:
    schema = pa.schema([("item", pa.int32()), ("neighbour", pa.int32()), ("weight", pa.int64())])
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table([pa.array(column, type_) for column, type_ in zip(columns, schema.types, strict=True)], schema)


def test_the_weights_of_a_pair_are_added_up_and_neighbours_ascend() -> None:
    half = FIXED_POINT // 2
    lists = add_up_pairs(pairs((2, 1, half), (0, 2, FIXED_POINT), (2, 0, half), (2, 1, FIXED_POINT)), 4)
    assert lists.starts.tolist() == [0, 1, 1, 3, 3]
    assert lists.items.tolist() == [2, 0, 1]
    assert lists.values.tolist() == [1.0, 0.5, 1.5]


def test_no_pairs_are_empty_lists() -> None:
    assert add_up_pairs(pairs(), 2).starts.tolist() == [0, 0, 0]


def test_it_makes_no_difference_in_which_order_pairs_come_and_whether_they_were_added_up_before() -> None:
    chance = random.Random(7)
    rows = [(chance.randrange(9), chance.randrange(9), chance.randint(1, FIXED_POINT)) for _ in range(2_000)]
    summed: dict[tuple[int, int], int] = {}
    for item, neighbour, weight in rows:
        summed[item, neighbour] = summed.get((item, neighbour), 0) + weight
    once, again = add_up_pairs(pairs(*rows), 9), add_up_pairs(pairs(*((*pair, n) for pair, n in summed.items())), 9)
    assert once.values.sum() * FIXED_POINT == sum(summed.values())
    assert np.array_equal(once.starts, again.starts)
    assert np.array_equal(once.items, again.items)
    assert np.array_equal(once.values, again.values)
