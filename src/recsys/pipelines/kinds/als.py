"""ALS factors of users and items: by ``implicit`` on one machine, by MLlib on Spark. The two give different lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ibis
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recsys.pipelines.engine import SparkEngine
from recsys.pipelines.pairs import blocks
from recsys.ranking.arrays import NeighbourLists

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine, Expression
    from recsys.pipelines.settings import Implicit

_USERS_AT_A_TIME: Final = 5_000
_SEED: Final = 20_260_101


def als_lists(
    engine: Engine, visits: Expression, taste: Any, had: Any | None, settings: Implicit
) -> list[NeighbourLists]:
    """The best items of each user by the product of factors, above 0, without those that he has ``had``.

    ``visits``: user, item, kept by the engine; ``taste``: the same as a sparse matrix of users by items; ``had``: a
    matrix, too, or None. One thread for what is not Spark's: faster with so small matrices, and the same again on the
    same machine.
    """
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.factors,
            iterations=settings.iterations,
            regularization=settings.regularization,
            random_state=_SEED,
            num_threads=1,
        )
        if isinstance(engine, SparkEngine):
            model.user_factors, model.item_factors = _spark_factors(engine, visits, taste.shape, settings)
        else:
            model.fit(taste.astype(np.float32), show_progress=False)
        most = min(settings.items, taste.shape[1])
        given, only_new = (taste, False) if had is None else (had, True)
        return [
            _positive(*model.recommend(np.arange(begin, end), given[begin:end], most, only_new))
            for begin, end in blocks(taste.shape[0], _USERS_AT_A_TIME)
        ]


def _spark_factors(engine: SparkEngine, visits: Expression, shape: tuple[int, int], settings: Implicit) -> list[Any]:
    """Factors of users and items as float32; rows of zeros for items that nobody has."""
    from pyspark.ml.recommendation import ALS  # noqa: PLC0415 - an extra, and slow to import

    model = ALS(
        rank=settings.factors, maxIter=settings.iterations, regParam=settings.regularization, implicitPrefs=True,
        userCol="user", itemCol="item", ratingCol="rating", seed=_SEED,
    ).fit(engine.frame(visits.select("user", "item", rating=ibis.literal(1.0, "float32"))))  # fmt: skip
    found = []
    for frame, size in zip((model.userFactors, model.itemFactors), shape, strict=True):
        table = frame.toArrow()
        factors = np.zeros((size, settings.factors), np.float32)
        factors[table.column("id").to_numpy()] = np.stack(table.column("features").to_numpy())
        found.append(factors)
    return found


def _positive(items: Any, scores: Any) -> NeighbourLists:
    """Rows of found items as lists; what was filled up, or scores nothing, is left out."""
    good = (items >= 0) & (scores > 0) & np.isfinite(scores)
    starts = np.concatenate(([0], np.cumsum(good.sum(axis=1)))).astype(np.int64)
    return NeighbourLists(starts, items[good].astype(np.int32), scores[good].astype(np.float64))
