"""Metrics by hand, at the edges."""

from math import log2

import pytest

from recsys.evaluation.metrics import ndcg, recall


@pytest.mark.parametrize(
    ("ranked", "truth", "k", "expected"),
    [
        (["a", "b", "c"], {"a", "c", "x", "y"}, 3, 0.5),
        (["a", "b", "c"], {"a", "c", "x", "y"}, 2, 0.25),  # c stands behind k
        (["a"], {"a", "b"}, 20, 0.5),  # a list that is shorter than k just holds less
        ([], {"a"}, 20, 0.0),
        (["a", "a"], {"a", "b"}, 2, 0.5),  # twice is once
        (["a", "b"], {"b", "a"}, 1, 0.5),  # k below the number of truths: 1 cannot be reached
    ],
)
def test_recall_is_the_share_of_what_was_to_be_found(
    ranked: list[str], truth: set[str], k: int, expected: float
) -> None:
    assert recall(ranked, truth, k) == expected


@pytest.mark.parametrize(
    ("ranked", "truth", "k", "expected"),
    [
        (["a", "b"], {"a", "b"}, 2, 1.0),
        (["b", "a"], {"a", "b"}, 2, 1.0),  # relevance is binary: hits are tied
        (["x", "a"], {"a"}, 2, 1 / log2(3)),
        (["x", "a", "b"], {"a", "b"}, 3, (1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3))),
        (["a"], {"a", "b", "c"}, 1, 1.0),  # the best list of one cannot do better
        (["a"], {"a", "b"}, 20, 1 / (1 + 1 / log2(3))),
        (["a", "a"], {"a", "b"}, 2, 1 / (1 + 1 / log2(3))),
        ([], {"a"}, 5, 0.0),
    ],
)
def test_ndcg_is_what_was_gained_over_what_could_be(
    ranked: list[str], truth: set[str], k: int, expected: float
) -> None:
    assert ndcg(ranked, truth, k) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("metric", [recall, ndcg])
def test_nothing_to_find_is_no_zero_but_an_error(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match="nothing to find"):
        metric(["a"], set(), 5)
    with pytest.raises(ValueError, match="k must be at least 1"):
        metric(["a"], {"a"}, 0)
