"""``session_knn``: the latest sessions of each item, which VMIS-kNN compares the present one with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from recsys.pipelines.engine import Expression
    from recsys.pipelines.settings import SessionKnn
    from recsys.pipelines.visits import Coded


def latest_sessions(coded: Coded, settings: SessionKnn) -> Expression:
    """The sessions of two items and more that are among the latest of one of theirs, whole: session, item, at."""
    visits = coded.session_visits(settings.session_items)
    sizes = visits.group_by("session").agg(size=visits.count())
    long = visits.semi_join(sizes.filter(sizes["size"] > 1), "session")
    recency = ibis.window(group_by="item", order_by=ibis.desc("session"))
    ranked = long.mutate(age=ibis.row_number().over(recency))
    wanted = ranked.filter(ranked.age < settings.sessions_per_item).select("session").distinct()
    return long.semi_join(wanted, "session").select("session", "item", "at")


def session_knn(coded: Coded, settings: SessionKnn) -> pa.Table:
    """Columns session (from 0, in the order of time), at, item_id, position (in the order of the last visit)."""
    found = coded.engine.fetch(latest_sessions(coded, settings))
    sessions = found.column("session").to_numpy()
    items = found.column("item").to_numpy()
    times = found.column("at").cast(pa.timestamp("us", "UTC"))
    order = np.lexsort((items, times.cast(pa.int64()).to_numpy(), sessions))
    sessions, items = sessions[order], items[order]
    begins = np.ones(sessions.size, np.bool_)
    np.not_equal(sessions[1:], sessions[:-1], out=begins[1:])
    starts = np.flatnonzero(begins)
    numbers = np.cumsum(begins) - 1
    positions = np.arange(sessions.size) - starts[numbers] if sessions.size else np.empty(0, np.int64)
    return pa.table(
        {
            "session": pa.array(numbers, pa.int64()),
            "at": times.take(pa.array(order)),
            "item_id": pa.DictionaryArray.from_arrays(pa.array(items, pa.int32()), coded.items),
            "position": pa.array(positions, pa.int32()),
        }
    )
