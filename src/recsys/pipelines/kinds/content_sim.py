"""``content_sim``: items of like tags, by the cosine of TF-IDF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.pipelines.pairs import Progress, Weighed, long_form, neighbours_of

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine
    from recsys.pipelines.settings import ContentSim, Limits

_PART = 1 << 10
"""An inverse document frequency is a whole number of this part; its square, the weight, is one of 2^20."""


def content_sim(
    engine: Engine, catalog: pa.Table, settings: ContentSim, limits: Limits, progress: Progress
) -> pa.Table:
    """Columns item_id, neighbor_id, score.

    tf is 0 or 1 and idf(t) = log2((N + 1) / n(t)), so Σ over shared tags of idf² is the product of two items' vectors,
    and its cosine that of :func:`recsys.ranking.weighting.weigh`. Tags of too many items are left out.
    """
    names = catalog.column("item_id").combine_chunks()
    visits = engine.keep(engine.rows(weighted_tags(catalog.column("tags").combine_chunks(), settings.tag_items)))
    how = Weighed("cosine", settings.neighbours)
    return long_form(neighbours_of(engine, visits, len(names), how, limits.pairs_per_chunk, progress), names)


def weighted_tags(tags: pa.Array, most_items: int) -> pa.Table:
    """The tags of items as parts: part int32 (the tag), item int32, weight int64 (idf² in fixed point)."""
    items = pc.list_parent_indices(tags).to_numpy().astype(np.int32)
    encoded = pc.dictionary_encode(tags.flatten())
    parts: Any = encoded.indices.to_numpy()
    found = np.bincount(parts, minlength=len(encoded.dictionary))
    weights = np.array([_weight(len(tags), int(count)) for count in found], np.int64)
    kept = (found <= most_items)[parts]
    return pa.table({"part": parts[kept], "item": items[kept], "weight": weights[parts[kept]]})


def _weight(items: int, holding: int) -> int:
    """Rounding after the logarithm hides in which last bit machines differ."""
    return round(_PART * math.log2((items + 1) / holding)) ** 2
