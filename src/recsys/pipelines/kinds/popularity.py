"""``popularity``: Σ of the weights of an item's events, faded by age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recsys.pipelines.visits import day_of
from recsys.pipelines.window import FIXED_POINT

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine, Expression
    from recsys.pipelines.settings import Popularity
    from recsys.pipelines.window import Window


def worths(settings: Popularity, window: Window) -> pa.Table:
    """What an event of each type counts on each day, in fixed point: kind, on (days since 1970), worth int64."""
    rows = [
        (kind, day, round(weight * faded))
        for kind, weight in sorted(settings.weights.items())
        for day, faded in sorted(window.decay(settings.half_life_days).items())
    ]
    kinds, days, counts = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "kind": pa.array(kinds, pa.string()),
            "on": pa.array(days, pa.int64()),
            "worth": pa.array(counts, pa.int64()),
        }
    )


def popularity_sums(engine: Engine, events: Expression, worth: Expression) -> Expression:
    """Of selected events: item_id, total int64. Days are numbers: making dates of times is slow in DuckDB."""
    dated = events.select("item_id", "event_type", day=day_of(engine, events["at"]))
    counted = dated.join(worth, [dated.event_type == worth.kind, dated.day == worth.on])
    return counted.group_by("item_id").agg(total=counted.worth.sum().cast("int64"))


def popularity(engine: Engine, events: Expression, settings: Popularity, window: Window) -> pa.Table:
    """Columns item_id, score; items that count nothing are left out."""
    sums = engine.fetch(popularity_sums(engine, events, engine.rows(worths(settings, window))))
    totals: Any = sums.column("total").to_numpy()
    table = pa.table({"item_id": sums.column("item_id"), "score": totals.astype(np.float64) / FIXED_POINT})
    return table.filter(pa.array(totals > 0)).sort_by("item_id")
