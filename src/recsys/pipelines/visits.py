"""From events to whole numbers: items, users and sessions get codes, and each computation works on those.

Codes follow an order that does not depend on the engine: ids by code point, sessions by time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

if TYPE_CHECKING:
    from recsys.pipelines.engine import Engine, Expression

DAY_S = 86_400
SECOND_US = 1_000_000


@dataclass(frozen=True)
class Coded:
    """Events with codes instead of texts, kept by an engine.

    ``events``: session int32 (-1: none), user int32 (-1: none), item int32, event_type, at, day int64 (since 1970).
    ``sessions``: session, ended_at, day. ``items``, ``users``: string arrays in code point order; a code is an index.
    """

    engine: Engine
    events: Expression
    sessions: Expression
    items: pa.Array
    users: pa.Array
    _session_visits: dict[int, Expression] = field(default_factory=dict, repr=False)

    def session_visits(self, most: int) -> Expression:
        """:func:`session_visits`, made when the first kind asks, and kept for the others."""
        if most not in self._session_visits:
            self._session_visits[most] = self.engine.keep(session_visits(self, most))
        return self._session_visits[most]


def select_events(table: Expression, segment: str | None) -> Expression:
    """The events that signals are made of: those with an item, of one segment if one is asked for."""
    wanted = table.filter(table.item_id != "")
    if segment is not None:
        wanted = wanted.filter(wanted.segment == segment)
    return wanted.select("event_id", "at", "user_id", "session_id", "item_id", "event_type")


def code(engine: Engine, events: Expression, gap_minutes: float) -> Coded:
    """Give everything its code, once."""
    events = _with_sessions(engine, events, gap_minutes)
    items = engine.keep(_codes(events, "item_id", "item"))
    users = engine.keep(_codes(events.filter(events.user_id != ""), "user_id", "user"))
    sessions = engine.keep(_sessions(engine, events))
    coded = events.join(items, "item_id").left_join(users, "user_id").left_join(sessions, ["session_id", "visit"])
    kept = engine.keep(
        coded.select(
            session=ibis.coalesce(coded.session, -1).cast("int32"),
            user=ibis.coalesce(coded.user, -1).cast("int32"),
            item=coded.item,
            event_type=coded.event_type,
            at=coded["at"],
            day=day_of(engine, coded["at"]),
        )
    )
    return Coded(
        engine=engine,
        events=kept,
        sessions=sessions.select("session", "ended_at", "day"),
        items=_texts(engine, items, "item", "item_id"),
        users=_texts(engine, users, "user", "user_id"),
    )


def day_of(engine: Engine, at: Any) -> Any:
    """The UTC day of a time, in days since 1970."""
    return engine.microseconds(at) // (DAY_S * SECOND_US)


def session_visits(coded: Coded, most: int) -> Expression:
    """Which items each session has, the last ``most`` different ones: session, item, at, day (of the session's end)."""
    seen = coded.events.filter(coded.events.session >= 0)
    visits = seen.group_by("session", "item").agg(at=seen["at"].max())
    return _latest(visits, "session", most).join(coded.sessions.select("session", "day"), "session")


def user_visits(coded: Coded, most: int) -> Expression:
    """Which items each user had to do with, the last ``most`` different ones: user, item, at."""
    seen = coded.events.filter(coded.events.user >= 0)
    return _latest(seen.group_by("user", "item").agg(at=seen["at"].max()), "user", most)


def user_items(coded: Coded) -> Expression:
    """All items that each user had to do with in the window: user, item."""
    return coded.events.filter(coded.events.user >= 0).select("user", "item").distinct()


def _latest(visits: Expression, by: str, most: int) -> Expression:
    window = ibis.window(group_by=by, order_by=[ibis.desc("at"), "item"])
    ranked = visits.mutate(place=ibis.row_number().over(window))
    return ranked.filter(ranked.place < most).drop("place")


def _codes(events: Expression, column: str, code_name: str) -> Expression:
    ids = events.select(column).distinct()
    return ids.mutate(**{code_name: ibis.row_number().over(ibis.window(order_by=column)).cast("int32")})


def _with_sessions(engine: Engine, events: Expression, gap_minutes: float) -> Expression:
    """Events with a column ``visit``: of those without a session, the visits of a user, which end with a gap.

    A visit stands for the session: ``session_id`` is that of the user then.
    """
    without = events.filter((events.session_id == "") & (events.user_id != ""))
    if engine.fetch(without.count().as_table()).column(0)[0].as_py() == 0:
        return events.mutate(visit=ibis.literal(-1, "int64"))
    order = ibis.window(group_by="user_id", order_by=["at", "event_id"])
    moments = engine.microseconds(without["at"])
    timed = without.mutate(waited=moments - moments.lag().over(order))
    begun = timed.mutate(begins=(ibis.coalesce(timed.waited, 0) > round(60 * SECOND_US * gap_minutes)).cast("int64"))
    running = ibis.window(group_by="user_id", order_by=["at", "event_id"], preceding=None, following=0)
    visited = begun.mutate(visit=begun.begins.sum().over(running).cast("int64"), session_id=begun.user_id)
    columns = ["event_id", "at", "user_id", "session_id", "item_id", "event_type", "visit"]
    others = events.filter((events.session_id != "") | (events.user_id == ""))
    return engine.keep(others.mutate(visit=ibis.literal(-1, "int64")).select(columns).union(visited.select(columns)))


def _sessions(engine: Engine, events: Expression) -> Expression:
    named = events.filter(events.session_id != "")
    ended = named.group_by("session_id", "visit").agg(ended_at=named["at"].max())
    order = ibis.window(order_by=["ended_at", "session_id", "visit"])
    return ended.mutate(session=ibis.row_number().over(order).cast("int32"), day=day_of(engine, ended.ended_at))


def _texts(engine: Engine, table: Expression, code_name: str, column: str) -> pa.Array:
    fetched = engine.fetch(table.select(code_name, column)).sort_by(code_name)
    texts = fetched.column(column).cast(pa.string())
    return pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], pa.string())
