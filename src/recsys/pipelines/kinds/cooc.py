"""``cooc``: items of one session, weighed by count, cosine or RP³β."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import pyarrow as pa

from recsys.pipelines.pairs import Progress, Weighed, long_form, neighbours_of
from recsys.pipelines.window import FIXED_POINT

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine, Expression
    from recsys.pipelines.settings import Cooc, Limits
    from recsys.pipelines.visits import Coded
    from recsys.pipelines.window import Window


def faded(engine: Engine, visits: Expression, window: Window, half_life_days: float | None, *more: str) -> Expression:
    """Rows of sessions as parts whose weight their day decides: part, item, weight int64, and ``more``."""
    if half_life_days is None:
        return visits.select(*more, part=visits.session, item=visits.item, weight=ibis.literal(FIXED_POINT, "int64"))
    decay = window.decay(half_life_days)
    days = engine.rows(pa.table({"on": pa.array(list(decay), pa.int64()), "weight": pa.array(list(decay.values()))}))
    dated = visits.join(days, visits.day == days.on)
    return dated.select(*more, part=dated.session, item=dated.item, weight=dated.weight)


def cooc(coded: Coded, settings: Cooc, limits: Limits, window: Window, progress: Progress) -> pa.Table:
    """Columns item_id, neighbor_id, score."""
    engine = coded.engine
    visits = faded(engine, coded.session_visits(settings.session_items), window, settings.half_life_days)
    how = Weighed(settings.weighting, settings.neighbours, settings.alpha, settings.beta)
    kept = visits if settings.half_life_days is None else engine.keep(visits)
    return long_form(neighbours_of(engine, kept, len(coded.items), how, limits.pairs_per_chunk, progress), coded.items)
