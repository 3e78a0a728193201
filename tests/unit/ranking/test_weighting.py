"""Golden vectors of the neighbour weightings: worked out by hand, with numbers whose roots and powers are exact."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from recsys.ranking.arrays import NeighbourLists, Values
from recsys.ranking.weighting import Weighting, degrees, prune, weigh


def lists(*rows: dict[int, float]) -> NeighbourLists:
    """Rows of neighbours and values; every index is a row."""
    starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    items = np.array([item for row in rows for item in sorted(row)], np.int32)
    return NeighbourLists(starts, items, np.array([row[item] for row in rows for item in sorted(row)], np.float64))


def as_rows(found: NeighbourLists) -> list[dict[int, float]]:
    rows = [found.row(at) for at in range(found.starts.size - 1)]
    return [dict(zip(items.tolist(), values.tolist(), strict=True)) for items, values in rows]


PAIRS = lists({1: 4.0, 2: 2.0}, {0: 4.0}, {0: 2.0}, {})
COUNTS: Values = np.array([16.0, 4.0, 1.0, 9.0])


def test_count_leaves_the_counts_alone() -> None:
    assert as_rows(weigh(PAIRS, "count")) == [{1: 4.0, 2: 2.0}, {0: 4.0}, {0: 2.0}, {}]


def test_cosine_divides_by_the_root_of_both_counts() -> None:
    """0 with 1: 4/√(16·4) = 4/8; 0 with 2: 2/√(16·1) = 2/4; the same the other way round."""
    assert as_rows(weigh(PAIRS, "cosine", counts=COUNTS)) == [{1: 0.5, 2: 0.5}, {0: 0.5}, {0: 0.5}, {}]


def test_rp3beta_discounts_popular_neighbours_and_rows_add_up_to_one() -> None:
    """α = 1, β = 1/2. Row 0: 4/4^½ = 2 and 2/1^½ = 2, together 4: half each. A row of one pair is all of it."""
    assert as_rows(weigh(PAIRS, "rp3beta", counts=COUNTS, beta=0.5)) == [{1: 0.5, 2: 0.5}, {0: 1.0}, {0: 1.0}, {}]


def test_rp3beta_raises_the_counts_to_alpha() -> None:
    """α = 2, β = 1. Row 0: 4²/4 = 4 and 2²/1 = 4; without a discount (β = 0) 16 and 4, so 4/5 and 1/5."""
    assert as_rows(weigh(PAIRS, "rp3beta", counts=COUNTS, alpha=2, beta=1))[0] == {1: 0.5, 2: 0.5}
    assert as_rows(weigh(PAIRS, "rp3beta", counts=COUNTS, alpha=2, beta=0))[0] == {1: 0.8, 2: 0.2}


def test_rp3beta_by_default_is_alpha_1_and_beta_0_6() -> None:
    """n(1) = 32 and n(2) = 1: 8/32^0.6 = 8/8 = 1 and 3/1 = 3, together 4."""
    found = as_rows(weigh(lists({1: 8.0, 2: 3.0}, {}, {}), "rp3beta", counts=np.array([11.0, 32.0, 1.0])))[0]
    assert found == pytest.approx({1: 0.25, 2: 0.75}, rel=1e-15)


def test_counts_that_are_not_given_are_the_sums_of_the_pairs_in_the_fuller_direction() -> None:
    """Row sums 6, 4, 2, 0; column sums the same: symmetric. One direction only: 0 has the row sum, 1 and 2 columns."""
    assert degrees(PAIRS).tolist() == [6.0, 4.0, 2.0, 0.0]
    assert degrees(lists({1: 4.0, 2: 2.0}, {}, {})).tolist() == [6.0, 4.0, 2.0]
    # 4/√(6·4), 2/√(6·2)
    assert as_rows(weigh(PAIRS, "cosine"))[0] == {1: 4 / sqrt(24), 2: 2 / sqrt(12)}


def test_pruning_keeps_the_heaviest_and_of_equals_the_lower_item() -> None:
    found = prune(lists({1: 1.0, 2: 3.0, 3: 2.0, 4: 3.0, 5: 3.0}, {}, {0: 1.0}, {}, {}, {}), 2)
    assert as_rows(found) == [{2: 3.0, 4: 3.0}, {}, {0: 1.0}, {}, {}, {}]
    assert found.starts.tolist() == [0, 2, 2, 3, 3, 3, 3]


def test_what_is_kept_after_pruning_by_weight_adds_up_to_one() -> None:
    """β = 1: 4/4 = 1, 2/1 = 2, 9/9 = 1; the heaviest two are 2 and, of the equals, 1: shares 1/3 and 2/3."""
    pairs = lists({1: 4.0, 2: 2.0, 3: 9.0}, {}, {}, {})
    assert as_rows(weigh(pairs, "rp3beta", counts=COUNTS, beta=1, keep=2))[0] == {1: 1 / 3, 2: 2 / 3}


def test_a_pair_of_an_item_without_a_count_is_refused() -> None:
    for counts in ([0.0, 4.0, 1.0, 0.0], [16.0, 0.0, 1.0, 0.0], [16.0, 4.0, np.nan, 0.0]):
        with pytest.raises(ValueError, match="must have a count"):
            weigh(PAIRS, "cosine", counts=np.array(counts))


def test_nothing_weighs_nothing() -> None:
    empty = lists({}, {})
    assert as_rows(weigh(empty, "rp3beta", keep=1)) == [{}, {}]


@pytest.mark.parametrize(
    ("weighting", "count", "alpha"), [("cosine", 5e-200, 1.0), ("rp3beta", 5e-324, 2.0), ("rp3beta", 1e15, 30.0)]
)
def test_weights_that_are_no_numbers_never_leave(weighting: Weighting, count: float, alpha: float) -> None:
    pairs = lists({1: count}, {0: count})
    with pytest.raises(FloatingPointError):
        weigh(pairs, weighting, alpha=alpha)
