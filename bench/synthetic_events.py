"""A month of events of a synthetic shop: sessions of realistic lengths, skewed items; the same on every run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.synthetic import item_codes, item_text
from recsys.domain.catalogue import Item
from recsys.pipelines.canonicalise import EVENTS
from recsys.pipelines.kinds.catalog import catalog
from recsys.pipelines.place import write_table
from recsys.pipelines.window import Window

DAYS = 28
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 1) + timedelta(days=DAYS - 1))
VECTOR_SIZE = 64
_START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
_MEAN_LENGTH, _LONGEST = 6, 30
_LOG_MEAN, _LOG_DEVIATION = 0.8, 1.55
"""Of the logarithm of a session's length: median 3, mean 6, once it is rounded up and capped."""
_SKEW = 0.9
_KINDS, _SHARES = ("view", "click", "add_to_cart", "purchase"), (0.8, 0.12, 0.05, 0.03)
_TAGS, _TAGS_PER_ITEM = 20_000, 5


def write_days(directory: Path, events: int, items: int) -> list[Path]:
    """A canonical table per day, in order; about ``events`` of them."""
    table = _draw(events, items)
    seconds = table.column("at").cast(pa.int64()).to_numpy() // 1_000_000 - _START
    days = np.minimum(seconds // 86_400, DAYS)
    paths = []
    for day in range(DAYS):
        begin, end = days.searchsorted([day, day + 1])
        paths.append(directory / f"{WINDOW.start + timedelta(days=day)}.parquet")
        write_table(paths[-1], table.slice(begin, end - begin))
    return paths


def session_lengths(count: int, draw: np.random.Generator) -> Any:
    """So many lengths: median 3, mean 6, at most 30."""
    return np.clip(np.ceil(np.exp(draw.normal(_LOG_MEAN, _LOG_DEVIATION, count))), 1, _LONGEST).astype(np.int64)


def draw_sessions(events: int, items: int, seed: int) -> tuple[Any, Any]:
    """About so many events: how long each session is, and the items of all of them, numbered by popularity."""
    return _visit(events, items, np.random.default_rng(seed))


def draw_catalog(items: int) -> pa.Table:
    """Items with five tags each, of a long-tailed vocabulary."""
    draw = np.random.default_rng(20_260_103)
    tags = (_TAGS * draw.random((items, _TAGS_PER_ITEM)) ** 2).astype(np.int64).tolist()
    ids = map(item_text, item_codes(items).tolist())
    return catalog(
        Item(item_id=item_id, tags=sorted({f"tag-{tag:05}" for tag in own}), price=1.0)
        for item_id, own in zip(ids, tags, strict=True)
    )


def draw_vectors(items: int) -> pa.Table:
    """Vectors around a few hundred centres."""
    draw = np.random.default_rng(20_260_104)
    centres = draw.normal(size=(500, VECTOR_SIZE))
    matrix = centres[draw.integers(0, 500, items)] + draw.normal(scale=0.7, size=(items, VECTOR_SIZE))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.astype(np.float32).ravel()), VECTOR_SIZE)
    names = [item_text(code) for code in item_codes(items).tolist()]
    return pa.table({"item_id": names, "vector": lists.cast(pa.list_(pa.float32()))})


def _draw(events: int, items: int) -> pa.Table:
    draw = np.random.default_rng(20_260_102)
    lengths, item = _visit(events, items, draw)
    sessions = lengths.size
    session = np.repeat(np.arange(sessions), lengths)
    place = np.arange(session.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    begins = np.sort(draw.integers(0, DAYS * 86_400 - 20 * _LONGEST, sessions))
    at = (begins[session] + 20 * place + _START) * 1_000_000
    order = np.argsort(at, kind="stable")
    users = draw.integers(0, max(1, sessions // 4), sessions)[session]
    kinds = draw.choice(len(_KINDS), session.size, p=_SHARES)
    texts = {
        "user_id": (users, [f"{number * 2_654_435_761 % 2**64:032x}" for number in range(max(1, sessions // 4))]),
        "session_id": (session, [f"{number * 40_503_000_001 % 2**64:032x}" for number in range(sessions)]),
        "item_id": (item, [item_text(code) for code in item_codes(items).tolist()]),
        "event_type": (kinds, list(_KINDS)),
    }
    columns: dict[str, Any] = {
        name: pa.array(names).take(pa.array(codes[order])) for name, (codes, names) in texts.items()
    }
    for name, text in (("tenant", "bench"), ("surface", "home"), ("segment", "default")):
        columns[name] = pa.repeat(pa.scalar(text), session.size)
    columns["event_id"] = pa.array([f"e{number:09}" for number in range(session.size)])
    columns["at"] = pa.array(at[order]).cast(pa.timestamp("us", "UTC"))
    columns["value"] = pa.nulls(session.size, pa.float64())
    return pa.table(
        [columns[name].cast(type_) for name, type_ in zip(EVENTS.names, EVENTS.types, strict=True)], schema=EVENTS
    )


def _visit(events: int, items: int, draw: np.random.Generator) -> tuple[Any, Any]:
    lengths = session_lengths(events // _MEAN_LENGTH, draw)
    shares = np.cumsum(1 / (np.arange(items) + 1.0) ** _SKEW)
    return lengths, np.searchsorted(shares / shares[-1], draw.random(int(lengths.sum())))
