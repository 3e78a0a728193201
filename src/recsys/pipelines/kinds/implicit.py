"""``implicit``: a list of items for each user, by RP³β over what users had in common, or by ALS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pyarrow as pa
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.pipelines.pairs import Progress, Weighed, blocks, neighbours_of
from recsys.pipelines.visits import user_visits
from recsys.pipelines.window import FIXED_POINT
from recsys.ranking.arrays import NeighbourLists
from recsys.ranking.weighting import prune

if TYPE_CHECKING:
    from recsys.pipelines.settings import Implicit, Limits
    from recsys.pipelines.visits import Coded

USERS_AT_A_TIME = 5_000
_SEED = 20_260_101


def implicit(coded: Coded, settings: Implicit, limits: Limits, progress: Progress) -> pa.Table:
    """Columns user_id, item_id, score; what a user has done already is not on the list.

    ``rp3beta``: Σ over the user's items a of p(a, i), see :func:`recsys.ranking.weighting.weigh`, the users being what
    brings items together. ``als``: factors of one machine, which may differ with the machine's linear algebra.
    """
    visits = coded.engine.keep(user_visits(coded, settings.user_items))
    users, items = len(coded.users), len(coded.items)
    found = coded.engine.fetch(visits.select("user", "item"))
    taste = _matrix(
        found.column("user").to_numpy(), found.column("item").to_numpy(), np.ones(found.num_rows), users, items
    )
    if settings.method == "als":
        return _long(_als_lists(taste, settings), coded)
    parts = visits.select(part=visits.user, item=visits.item, weight=ibis.literal(FIXED_POINT, "int64"))
    how = Weighed("rp3beta", settings.neighbours, settings.alpha, settings.beta)
    near = neighbours_of(coded.engine, coded.engine.keep(parts), items, how, limits.pairs_per_chunk, progress)
    similar = _matrix(near.items, near.neighbours, near.scores, items, items)
    lists = []
    for begin, end in blocks(users, USERS_AT_A_TIME):
        lists.append(_best(taste[begin:end], similar, settings.items))
    return _long(lists, coded)


def _matrix(rows: Any, columns: Any, values: Any, height: int, width: int) -> Any:
    """A sparse matrix whose rows are in order, so that sums over them are."""
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(height, width))
    matrix.sort_indices()
    return matrix


def _best(taste: Any, similar: Any, keep: int) -> NeighbourLists:
    """The heaviest items of each user that are not his own already."""
    scores = taste @ similar
    scores.sort_indices()
    seen = sparse.csr_matrix((np.full(taste.nnz, -np.inf), taste.indices, taste.indptr), shape=taste.shape)
    scores = scores + seen
    scores.sort_indices()
    left = scores.data > 0
    starts = np.concatenate(([0], np.cumsum(left)))[scores.indptr].astype(np.int64)
    lists = NeighbourLists(starts, scores.indices[left].astype(np.int32), scores.data[left])
    return prune(lists, keep)


def _als_lists(taste: Any, settings: Implicit) -> list[NeighbourLists]:
    """One thread for everything: faster with so small matrices, and the same again on the same machine."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.factors,
            iterations=settings.iterations,
            regularization=settings.regularization,
            random_state=_SEED,
            num_threads=1,
        )
        model.fit(taste.astype(np.float32), show_progress=False)
        most = min(settings.items, taste.shape[1])
        return [
            _positive(*model.recommend(np.arange(begin, end), taste[begin:end], most, filter_already_liked_items=True))
            for begin, end in blocks(taste.shape[0], USERS_AT_A_TIME)
        ]


def _positive(items: Any, scores: Any) -> NeighbourLists:
    """Rows of found items as lists; what was filled up, or scores nothing, is left out."""
    good = (items >= 0) & (scores > 0) & np.isfinite(scores)
    starts = np.concatenate(([0], np.cumsum(good.sum(axis=1)))).astype(np.int64)
    return NeighbourLists(starts, items[good].astype(np.int32), scores[good].astype(np.float64))


def _long(lists: list[NeighbourLists], coded: Coded) -> pa.Table:
    lengths = np.concatenate([np.diff(each.starts) for each in lists]) if lists else np.empty(0, np.int64)
    users = np.repeat(np.arange(lengths.size, dtype=np.int32), lengths)
    items = np.concatenate([each.items for each in lists]) if lists else np.empty(0, np.int32)
    scores = np.concatenate([each.values for each in lists]) if lists else np.empty(0)
    return pa.table(
        {
            "user_id": pa.DictionaryArray.from_arrays(pa.array(users), coded.users),
            "item_id": pa.DictionaryArray.from_arrays(pa.array(items), coded.items),
            "score": scores,
        }
    )
