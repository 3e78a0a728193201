"""The models of ``implicit`` (Ben Frederickson), asked what RecSys is asked: what others give on the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys.evaluation.holdout import Case

SEED = 20_260_101
MODELS: dict[str, Callable[[], Any]] = {
    "implicit: ItemKNN cosine, K 100": lambda: CosineRecommender(K=100, num_threads=1),
    "implicit: ItemKNN TF-IDF, K 100": lambda: TFIDFRecommender(K=100, num_threads=1),
    "implicit: ItemKNN BM25, K 100": lambda: BM25Recommender(K=100, num_threads=1),
    "implicit: ALS, 64 factors": lambda: AlternatingLeastSquares(
        factors=64, iterations=15, regularization=0.05, random_state=SEED, num_threads=1
    ),
    "implicit: BPR, 64 factors": lambda: BayesianPersonalizedRanking(
        factors=64, iterations=100, random_state=SEED, num_threads=1
    ),
}


class Matrix:
    """Who had what, once each: a row for each value of ``owner`` (``user_id`` or ``session_id``), float32."""

    def __init__(self, events: pa.Table, owner: str) -> None:
        rows, columns = (events.column(name).combine_chunks().dictionary_encode() for name in (owner, "item_id"))
        self.items: list[str] = columns.dictionary.to_pylist()
        self.place = {item: at for at, item in enumerate(self.items)}
        self.row = {name: at for at, name in enumerate(rows.dictionary.to_pylist())}
        pairs = (rows.indices.to_numpy(), columns.indices.to_numpy())
        counts = sparse.csr_matrix((np.ones(len(rows), np.float32), pairs))
        counts.data[:] = 1.0
        self.values = counts

    def of(self, case: Case) -> Any:
        """What is known about whom a case is about, as a row."""
        if case.subject is not None:
            return self.values[self.row[case.subject]]
        known = sorted({self.place[item] for item in case.anchors if item in self.place})
        pairs = (np.ones(len(known), np.float32), (np.zeros(len(known), np.int64), known))
        return sparse.csr_matrix(pairs, shape=(1, len(self.items)))


def answers(matrix: Matrix, cases: Sequence[Case], k: int, *, only_new: bool) -> Iterator[tuple[str, list[list[str]]]]:
    """Each model's lists; ``only_new``: without what is in the row already."""
    for name, make in MODELS.items():
        with threadpool_limits(1, "blas"):
            model = make()
            model.fit(matrix.values, show_progress=False)
            by_row = isinstance(model, BayesianPersonalizedRanking)
            if by_row and any(case.subject is None for case in cases):
                continue  # BPR knows only the rows that it has learnt from
            yield name, [_answer(model, matrix, case, k, only_new=only_new, by_row=by_row) for case in cases]


def _answer(model: Any, matrix: Matrix, case: Case, k: int, *, only_new: bool, by_row: bool) -> list[str]:
    row = matrix.of(case)
    if not row.nnz:
        return []
    number = matrix.row[case.subject] if by_row and case.subject is not None else 0
    items, scores = model.recommend(number, row, N=k, filter_already_liked_items=only_new, recalculate_user=not by_row)
    return [matrix.items[item] for item, score in zip(items, scores, strict=True) if item >= 0 and np.isfinite(score)]
