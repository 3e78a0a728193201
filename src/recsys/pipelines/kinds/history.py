"""``history``: the last events of each user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from recsys.pipelines.engine import Expression
    from recsys.pipelines.settings import History
    from recsys.pipelines.visits import Coded


def last_events(coded: Coded, settings: History) -> Expression:
    """The last so many events of each user: user, item, event_type, at."""
    events = coded.events.filter(coded.events.user >= 0)
    newest_first = ibis.window(group_by="user", order_by=[ibis.desc("at"), ibis.desc("item"), ibis.desc("event_type")])
    ranked = events.mutate(place=ibis.row_number().over(newest_first))
    return ranked.filter(ranked.place < settings.events_per_user).select("user", "item", "event_type", "at")


def history(coded: Coded, settings: History) -> pa.Table:
    """Columns user_id, item_id, event_type, at; oldest first for each user."""
    found = coded.engine.fetch(last_events(coded, settings))
    users, items = found.column("user").to_numpy(), found.column("item").to_numpy()
    times = found.column("at").cast(pa.timestamp("us", "UTC"))
    kinds = pa.table({"kind": found.column("event_type").cast(pa.string())}).column("kind")
    names = sorted(kinds.unique().to_pylist())
    codes = np.array([names.index(name) for name in kinds.unique().to_pylist()], np.int64)
    kind_codes = codes[kinds.dictionary_encode().combine_chunks().indices.to_numpy()] if len(kinds) else codes
    order = np.lexsort((kind_codes, items, times.cast(pa.int64()).to_numpy(), users))
    return pa.table(
        {
            "user_id": pa.DictionaryArray.from_arrays(pa.array(users[order], pa.int32()), coded.users),
            "item_id": pa.DictionaryArray.from_arrays(pa.array(items[order], pa.int32()), coded.items),
            "event_type": pa.array(names, pa.string()).take(pa.array(kind_codes[order])),
            "at": times.take(pa.array(order)),
        }
    )
