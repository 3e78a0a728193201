"""``implicit``: a list of items for each user, by RP³β over what users had in common, or by ALS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ibis
import numpy as np
import pyarrow as pa
from scipy import sparse

from recsys.pipelines.kinds.als import als_lists
from recsys.pipelines.pairs import Progress, Weighed, blocks, neighbours_of
from recsys.pipelines.visits import user_items, user_visits
from recsys.pipelines.window import FIXED_POINT
from recsys.ranking.arrays import NeighbourLists
from recsys.ranking.weighting import prune

if TYPE_CHECKING:
    from recsys.pipelines.engine import Expression
    from recsys.pipelines.settings import Implicit, Limits
    from recsys.pipelines.visits import Coded

_USERS_AT_A_TIME: Final = 5_000


def implicit(coded: Coded, settings: Implicit, limits: Limits, progress: Progress) -> pa.Table:
    """Columns user_id, item_id, score; nothing that a user has had in the window is on the list, unless ``repeats``.

    ``rp3beta``: Σ over the user's last items a of p(a, i), see :func:`recsys.ranking.weighting.weigh`, the users being
    what brings items together. ``als``: see :mod:`recsys.pipelines.kinds.als`.
    """
    visits = coded.engine.keep(user_visits(coded, settings.user_items))
    users, items = len(coded.users), len(coded.items)
    taste = _of_users(coded, visits.select("user", "item"))
    had = None if settings.repeats else _of_users(coded, user_items(coded))
    if settings.method == "als":
        return _long(als_lists(coded.engine, visits, taste, had, settings), coded)
    parts = visits.select(part=visits.user, item=visits.item, weight=ibis.literal(FIXED_POINT, "int64"))
    how = Weighed("rp3beta", settings.neighbours, settings.alpha, settings.beta)
    near = neighbours_of(coded.engine, coded.engine.keep(parts), items, how, limits.pairs_per_chunk, progress)
    similar = _matrix(near.items, near.neighbours, near.scores, items, items)
    lists = []
    for begin, end in blocks(users, _USERS_AT_A_TIME):
        lists.append(_best(taste[begin:end], similar, None if had is None else had[begin:end], settings.items))
    return _long(lists, coded)


def _of_users(coded: Coded, pairs: Expression) -> Any:
    """Pairs (user, item), each once, as a matrix of ones."""
    found = coded.engine.fetch(pairs)
    rows, columns = (found.column(name).to_numpy() for name in ("user", "item"))
    return _matrix(rows, columns, np.ones(found.num_rows), len(coded.users), len(coded.items))


def _matrix(rows: Any, columns: Any, values: Any, height: int, width: int) -> Any:
    """A sparse matrix whose rows are in order, so that sums over them are."""
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(height, width))
    matrix.sort_indices()
    return matrix


def _best(taste: Any, similar: Any, had: Any | None, most: int) -> NeighbourLists:
    """The heaviest items of each user, without those that he has ``had``."""
    scores = taste @ similar
    scores.sort_indices()
    if had is not None:
        scores = scores + sparse.csr_matrix((np.full(had.nnz, -np.inf), had.indices, had.indptr), shape=had.shape)
        scores.sort_indices()
    left = scores.data > 0
    starts = np.concatenate(([0], np.cumsum(left)))[scores.indptr].astype(np.int64)
    lists = NeighbourLists(starts, scores.indices[left].astype(np.int32), scores.data[left])
    return prune(lists, most)


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
