"""Turns the shipped year of retail invoices into the NDJSON files that the bulk-load endpoints accept.

The same parquet gives the same bytes on every run: counts are whole numbers, and every order is spelt out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import duckdb

from recsys.demo import queries
from recsys.demo.product import Product, catalogue
from recsys.demo.showcase import Sales, Showcase, choose

SHIPPED_PARQUET: Final = Path(__file__).parent / "data" / "online_retail.parquet"
SURFACES: Final = ("home", "pdp")
"""Both surfaces load the same files: one shop, one catalogue."""

Progress = Callable[[str, int, int], None]
"""Told the step that begins, how many steps are done, and how many there are; at last ``("done", n, n)``."""

_STEPS: Final = ("read invoices", "name items", "count popularity", "count neighbours", "choose a showcase")


@dataclass(frozen=True, slots=True)
class RetailFiles:
    """The files of one build, how many rows each has (by field name), and what is worth showing in them.

    ``items``, ``popularity`` and ``cooc`` are NDJSON for the bulk load of that name, one row per key, in key order.
    """

    items: Path
    popularity: Path
    cooc: Path
    rows: dict[str, int]
    showcase: Showcase


def build(parquet: Path, out_dir: Path, progress: Progress) -> RetailFiles:
    """Read the invoices and write ``items.ndjson``, ``popularity.ndjson`` and ``cooc.ndjson`` into ``out_dir``.

    Makes the folder when it is missing and replaces what an earlier build left in it.

    Raises:
        ValueError: when the parquet holds no sale of a named product.
        duckdb.Error: when the parquet cannot be read or lacks a column.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    items, popularity, cooc = (out_dir / f"{name}.ndjson" for name in ("items", "popularity", "cooc"))
    step = _announce(progress)
    with duckdb.connect() as database:  # in memory
        next(step)
        database.execute(queries.READ_SALES, {"parquet": str(parquet)})
        next(step)
        database.execute(queries.NAMED_ITEMS)
        products = catalogue(database.execute(queries.ITEMS).fetchall())
        rows = {"items": _write(items, products)}
        next(step)
        database.execute(queries.POPULARITY)
        rows["popularity"] = _copy(database, queries.WRITE_POPULARITY, popularity)
        next(step)
        database.execute(queries.COOC, {"least": queries.MIN_TOGETHER, "most": queries.NEIGHBOURS_PER_ITEM})
        rows["cooc"] = _copy(database, queries.WRITE_COOC, cooc)
        next(step)
        showcase = _choose(database, products)
    next(step)
    return RetailFiles(items, popularity, cooc, rows, showcase)


def write_events(parquet: Path, path: Path, *, catalog: Path | None = None) -> int:
    """Write the sales as raw events for the pipelines, one JSON object a line by time; how many there were.

    ``catalog``: where to write the items, as :func:`build` does.

    Raises:
        duckdb.Error: when the parquet cannot be read or lacks a column.
    """
    with duckdb.connect() as database:
        database.execute(queries.READ_SALES, {"parquet": str(parquet)})
        database.execute(queries.NAMED_ITEMS)
        if catalog is not None:
            _write(catalog, catalogue(database.execute(queries.ITEMS).fetchall()))
        return _copy(database, queries.WRITE_EVENTS, path)


def _announce(progress: Progress) -> Iterator[None]:
    """Tell ``progress`` of one step each time the next one is asked for."""
    for done, name in enumerate((*_STEPS, "done")):
        progress(name, done, len(_STEPS))
        yield


def _choose(database: duckdb.DuckDBPyConnection, products: list[Product]) -> Showcase:
    rows = database.execute(queries.SALES_BY_ITEM, {"recent_days": queries.RECENT_DAYS}).fetchall()
    anchor = database.execute(queries.CLOSEST_PAIR).fetchone()
    return choose(
        products,
        {item_id: Sales(invoices, recent) for item_id, invoices, recent in rows},
        anchor[0] if anchor else None,
    )


def _write(path: Path, products: list[Product]) -> int:
    """Write one JSON object a line; how many there were."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    lines = "".join(encode(asdict(product)) + "\n" for product in products)
    path.write_text(lines, encoding="utf-8", newline="\n")
    return len(products)


def _copy(database: duckdb.DuckDBPyConnection, statement: str, path: Path) -> int:
    """Let the database write one JSON object a line, which is much faster; how many there were."""
    written = database.execute(statement, {"path": str(path)}).fetchone()
    return int(written[0]) if written else 0
