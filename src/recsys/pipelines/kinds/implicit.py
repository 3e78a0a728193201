"""``implicit``: a list of items for each user, by RP³β over what users had in common, or by ALS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ibis
import numpy as np
import pyarrow as pa
from scipy import sparse

from recsys.pipelines.kinds.als import als_lists
from recsys.pipelines.pairs import Progress, Weighed, blocks, neighbours_of
from recsys.pipelines.visits import user_visits
from recsys.pipelines.window import FIXED_POINT
from recsys.ranking.arrays import NeighbourLists
from recsys.ranking.weighting import prune

if TYPE_CHECKING:
    from recsys.pipelines.settings import Implicit, Limits
    from recsys.pipelines.visits import Coded

_USERS_AT_A_TIME: Final = 5_000


def implicit(coded: Coded, settings: Implicit, limits: Limits, progress: Progress) -> pa.Table:
    """Columns user_id, item_id, score; what a user has had already is not on the list, unless ``repeats``.

    ``rp3beta``: Σ over the user's items a of p(a, i), see :func:`recsys.ranking.weighting.weigh`, the users being what
    brings items together. ``als``: see :mod:`recsys.pipelines.kinds.als`.
    """
    visits = coded.engine.keep(user_visits(coded, settings.user_items))
    users, items = len(coded.users), len(coded.items)
    found = coded.engine.fetch(visits.select("user", "item"))
    taste = _matrix(
        found.column("user").to_numpy(), found.column("item").to_numpy(), np.ones(found.num_rows), users, items
    )
    if settings.method == "als":
        return _long(als_lists(coded.engine, visits, taste, settings), coded)
    parts = visits.select(part=visits.user, item=visits.item, weight=ibis.literal(FIXED_POINT, "int64"))
    how = Weighed("rp3beta", settings.neighbours, settings.alpha, settings.beta)
    near = neighbours_of(coded.engine, coded.engine.keep(parts), items, how, limits.pairs_per_chunk, progress)
    similar = _matrix(near.items, near.neighbours, near.scores, items, items)
    lists = []
    for begin, end in blocks(users, _USERS_AT_A_TIME):
        lists.append(_best(taste[begin:end], similar, settings))
    return _long(lists, coded)


def _matrix(rows: Any, columns: Any, values: Any, height: int, width: int) -> Any:
    """A sparse matrix whose rows are in order, so that sums over them are."""
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(height, width))
    matrix.sort_indices()
    return matrix


def _best(taste: Any, similar: Any, settings: Implicit) -> NeighbourLists:
    """The heaviest items of each user."""
    scores = taste @ similar
    scores.sort_indices()
    if not settings.repeats:
        seen = sparse.csr_matrix((np.full(taste.nnz, -np.inf), taste.indices, taste.indptr), shape=taste.shape)
        scores = scores + seen
        scores.sort_indices()
    left = scores.data > 0
    starts = np.concatenate(([0], np.cumsum(left)))[scores.indptr].astype(np.int64)
    lists = NeighbourLists(starts, scores.indices[left].astype(np.int32), scores.data[left])
    return prune(lists, settings.items)


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
