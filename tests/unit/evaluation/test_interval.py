import numpy as np
import pytest

from recsys.evaluation.interval import bootstrap


def test_the_same_values_give_the_same_interval_around_their_mean() -> None:
    values = np.random.default_rng(1).random(500)
    found = bootstrap(values)
    assert found == bootstrap(values.copy())
    assert found.low < found.mean < found.high
    assert found.mean == values.mean()


def test_it_is_as_wide_as_the_standard_error_says() -> None:
    values = np.random.default_rng(2).normal(size=2_000)
    found = bootstrap(values)
    expected = 2 * 1.96 * values.std() / np.sqrt(values.size)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_values_that_are_all_alike_leave_no_doubt() -> None:
    assert bootstrap(np.full(10, 0.25)) == (0.25, 0.25, 0.25)
    assert bootstrap(np.array([0.5])) == (0.5, 0.5, 0.5)


def test_blocks_change_nothing_but_the_memory() -> None:
    values = np.random.default_rng(3).random(1_500)  # 2,000 resamples of it are drawn in several blocks
    means = values[np.random.default_rng(20_260_101).integers(0, values.size, (2_000, values.size))].mean(axis=1)
    assert bootstrap(values)[1:] == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


@pytest.mark.parametrize("values", [[], [0.1, float("nan")], [float("inf")]])
def test_no_values_and_what_is_no_number_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError):
        bootstrap(np.array(values))
