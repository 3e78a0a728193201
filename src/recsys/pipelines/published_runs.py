"""What runs that were published had read: what the next run is compared with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow.parquet as pq

from recsys.pipelines.compute import segment_folder
from recsys.pipelines.place import Place, read_json, write_json, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

ITEMS: Final = "items.parquet"
"""Events per item of the run that was judged last: item_id, count."""

MOST_RUNS: Final = 30
"""So many manifests back a rollback may go, and the next run is still compared with what is served."""


class PublishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """``volume``: events per day; ``items``: events per item. Both are empty where there was no run."""

    volume: dict[str, int] = {}
    items: dict[str, int] = {}


class _Volume(msgspec.Struct, frozen=True, kw_only=True):
    volume: dict[str, int]


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """Manifest versions, the one published last at the end."""

    versions: list[str] = []


def published_before(place: Place, segment: str | None, serves: str | None) -> PublishedRun:
    """The run whose manifest is served. What something else has published: the run that was published last.

    After a rollback the one that was moved away from is no measure: it was bad.
    """
    known = _order(place, segment)
    version = serves if serves in known else known[-1] if known else None
    if version is None:
        return PublishedRun()
    folder = segment_folder(segment)
    volume = read_json(place.at(folder, "published", version, "volume.json"), _Volume)
    path = place.at(folder, "published", version, ITEMS)
    if volume is None or not path.exists():
        return PublishedRun()
    table = pq.read_table(path)
    counts = zip(table.column("item_id").to_pylist(), table.column("count").to_pylist(), strict=True)
    return PublishedRun(volume=volume.volume, items=dict(counts))


def remember_published(place: Place, segment: str | None, version: str, volume: Mapping[str, int]) -> None:
    """The run that was judged last has been published as this version of the manifest."""
    folder = segment_folder(segment)
    write_table(place.at(folder, "published", version, ITEMS), pq.read_table(place.at(folder, ITEMS)))
    write_json(place.at(folder, "published", version, "volume.json"), _Volume(volume=dict(volume)))
    versions = [each for each in _order(place, segment) if each != version] + [version]
    write_json(place.at(folder, "published.json"), _Order(versions=versions[-MOST_RUNS:]))
    for old in versions[:-MOST_RUNS]:
        shutil.rmtree(place.at(folder, "published", old), ignore_errors=True)


def _order(place: Place, segment: str | None) -> list[str]:
    found = read_json(place.at(segment_folder(segment), "published.json"), _Order)
    return found.versions if found else []
