"""``session_seq``: which item was looked at right after which, within a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import pyarrow as pa

from recsys.pipelines.kinds.cooc import faded
from recsys.pipelines.pair_sums import add_up_pairs, fetch_pairs
from recsys.pipelines.pairs import flatten, long_form
from recsys.ranking.weighting import weigh

if TYPE_CHECKING:
    from recsys.pipelines.engine import Expression
    from recsys.pipelines.settings import SessionSeq
    from recsys.pipelines.visits import Coded
    from recsys.pipelines.window import Window


def steps(coded: Coded) -> Expression:
    """From one item to the next, another one: session, item, following, day. The same item again is no step."""
    events = coded.events.filter(coded.events.session >= 0)
    order = ibis.window(group_by="session", order_by=["at", "item", "event_type"])
    led = events.select("session", "item", following=events.item.lead().over(order))
    taken = led.filter(led.following.notnull() & (led.following != led.item))
    return taken.join(coded.sessions.select("session", "day"), "session")


def session_seq(coded: Coded, settings: SessionSeq, window: Window) -> pa.Table:
    """Columns item_id, neighbor_id, score: the share of the steps from an item to those kept, faded by age.

    Shares, since the blend takes the largest of several signals: counts would leave nothing to the others.
    """
    engine, size = coded.engine, len(coded.items)
    weighted = faded(engine, steps(coded), window, settings.half_life_days, "following")
    pairs = weighted.select(item=weighted.item, neighbour=weighted.following, weight=weighted.weight)
    lists = add_up_pairs(fetch_pairs(engine, pairs), size)
    return long_form(flatten(weigh(lists, "rp3beta", beta=0.0, keep=settings.neighbours)), coded.items)
