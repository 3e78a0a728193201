"""How sure a mean is: percentile bootstrap over cases (Efron, Annals of Statistics 7(1), 1979), usable alone."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES: Final = 2_000
LEVEL: Final = 0.95
_SEED: Final = 20_260_101
_DRAWN_AT_A_TIME: Final = 1_000_000


class Interval(NamedTuple):
    """A mean, and between which means 95 % of the resamples lie."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: npt.NDArray[np.float64], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = _SEED
) -> Interval:
    """The mean of a value per case, and the middle ``level`` of the means of samples drawn with replacement.

    The same values in the same order and the same seed give the same interval. For the difference of two systems, give
    the differences case by case: what makes a case hard for both falls out.

    Raises:
        ValueError: there are no values, or one is not finite: no mean of them says anything.
    """
    if not values.size:
        raise ValueError("There are no cases.")
    if not np.isfinite(values).all():
        raise ValueError("A value is not finite.")
    draw = np.random.default_rng(seed)
    means = np.empty(resamples)
    block = max(1, _DRAWN_AT_A_TIME // values.size)
    for begin in range(0, resamples, block):
        count = min(block, resamples - begin)
        means[begin : begin + count] = values[draw.integers(0, values.size, (count, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))
