"""What is held out: questions about later events that only earlier ones may help to answer.

Events are canonical tables (pyarrow): at, user_id, session_id, item_id, event_type; users and sessions are keyed
hashes, empty where there is none. Nothing of ``after`` may be in what the answers are made from.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recsys.domain.config import ExcludeConfig

if TYPE_CHECKING:
    from datetime import datetime

MOST_ANCHORS = 50
"""What a request may name."""
NOTHING_EXCLUDED: Final = ExcludeConfig()


class Case(NamedTuple):
    """One question: a known user (``subject``), or the items of a session so far (``anchors``, oldest first).

    ``truth``: what came then, never empty.
    """

    subject: str | None
    anchors: tuple[str, ...]
    truth: frozenset[str]


def split(events: pa.Table, cut: datetime) -> tuple[pa.Table, pa.Table]:
    """Events before ``cut``, and from it on."""
    earlier = pc.less(events.column("at"), pa.scalar(cut, pa.timestamp("us", "UTC")))
    return events.filter(earlier), events.filter(pc.invert(earlier))


def user_cases(
    before: pa.Table,
    after: pa.Table,
    *,
    outcomes: Collection[str] | None = None,
    exclude: ExcludeConfig = NOTHING_EXCLUDED,
    most: int | None = None,
) -> list[Case]:
    """For each user with events on both sides: which different items come later, in order of the users' keys.

    ``outcomes``: the types of event that count later, None for all. ``exclude``: an item that serving would keep from
    the user for what he did before does not count. ``most``: at most so many users; keys are hashes, so the first are
    as good a sample as any.
    """
    later = _with_items(after, outcomes).filter(pc.field("user_id") != "")
    later = later.filter(pc.is_in(later.column("user_id"), value_set=before.column("user_id").unique()))
    pairs = later.select(["user_id", "item_id"]).group_by(["user_id", "item_id"]).aggregate([])
    if exclude.event_types:
        had = _excluded(before, exclude).select(["user_id", "item_id"])
        pairs = pairs.join(had, ["user_id", "item_id"], join_type="left anti")
    lists = pairs.group_by("user_id").aggregate([("item_id", "distinct")]).sort_by("user_id").slice(0, most)
    users, items = lists.column("user_id").to_pylist(), lists.column("item_id_distinct").to_pylist()
    return [Case(user, (), frozenset(found)) for user, found in zip(users, items, strict=True)]


def session_cases(
    before: pa.Table, after: pa.Table, *, outcomes: Collection[str] | None = None, most: int | None = None
) -> list[Case]:
    """For each later session of two items and more: given the first half (rounded up), which are the others?

    Items stand where they first came, by time, then event id. A session that began before the cut is left out. Of a
    long first half the last 50 are given, as a request may name. Sessions come in order of their keys; ``most`` as in
    :func:`user_cases`.
    """
    later = _with_items(after, outcomes).filter(pc.field("session_id") != "")
    later = later.filter(
        pc.invert(pc.is_in(later.column("session_id"), value_set=before.column("session_id").unique()))
    )
    later = later.sort_by([("session_id", "ascending"), ("at", "ascending"), ("event_id", "ascending")])
    cases: list[Case] = []
    for items in _sessions(later):
        if most is not None and len(cases) == most:
            break
        given = (len(items) + 1) // 2
        if given < len(items):
            cases.append(Case(None, tuple(items[max(0, given - MOST_ANCHORS) : given]), frozenset(items[given:])))
    return cases


def _excluded(before: pa.Table, exclude: ExcludeConfig) -> pa.Table:
    """The events that keep an item from a user; as in serving, the window counts back from all users' newest event."""
    found = _with_items(before, exclude.event_types)
    if exclude.window_days is None:
        return found
    newest = pc.max(_with_items(before, None).filter(pc.field("user_id") != "").column("at"))
    window = pa.scalar(timedelta(days=exclude.window_days), pa.duration("us"))
    return found.filter(pc.greater_equal(found.column("at"), pc.subtract(newest, window)))


def _with_items(events: pa.Table, types: Collection[str] | None) -> pa.Table:
    wanted = events.filter(pc.field("item_id") != "")
    if types is None:
        return wanted
    return wanted.filter(pc.is_in(wanted.column("event_type"), value_set=pa.array(sorted(types), pa.string())))


def _sessions(ordered: pa.Table) -> list[Sequence[str]]:
    """The different items of each session, where they first came."""
    found: dict[str, dict[str, None]] = {}
    columns: list[Any] = [ordered.column(name).to_pylist() for name in ("session_id", "item_id")]
    for session, item in zip(*columns, strict=True):
        found.setdefault(session, {})[item] = None
    return [list(items) for items in found.values()]
