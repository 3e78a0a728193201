"""A run is compared with the run whose manifest is served, whatever was published and rolled back in between."""

from pathlib import Path

import pyarrow as pa
import pytest

from recsys.pipelines.place import Place, write_table
from recsys.pipelines.published_runs import ITEMS, MOST_RUNS, PublishedRun, published_before, remember_published


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.of(tmp_path, "shop", "home")


def publish(place: Place, version: str, count: int) -> None:
    write_table(place.at("_all", ITEMS), pa.table({"item_id": ["a"], "count": pa.array([count], pa.int64())}))
    remember_published(place, None, version, {"2026-01-01": count})


def run(count: int) -> PublishedRun:
    return PublishedRun(volume={"2026-01-01": count}, items={"a": count})


def test_where_nothing_was_published_there_is_nothing_to_compare_with(place: Place) -> None:
    assert published_before(place, None, "good") == PublishedRun()


def test_after_a_rollback_what_is_served_is_the_measure_and_not_what_was_published_last(place: Place) -> None:
    publish(place, "good", 10)
    publish(place, "bad", 99)
    assert published_before(place, None, "bad") == run(99)
    assert published_before(place, None, "good") == run(10)


def test_beside_a_manifest_of_somebody_else_it_is_what_was_published_last(place: Place) -> None:
    publish(place, "good", 10)
    publish(place, "other", 20)
    publish(place, "good", 11)
    assert published_before(place, None, "by hand") == run(11)
    assert published_before(place, None, None) == run(11)
    assert published_before(place, "mobile", "good") == PublishedRun()


def test_only_so_many_runs_are_kept(place: Place) -> None:
    for number in range(MOST_RUNS + 1):
        publish(place, f"v{number}", number)
    assert published_before(place, None, "v1") == run(1)
    assert published_before(place, None, "v0") == run(MOST_RUNS)
    assert len(list((place.root / "_all" / "published").iterdir())) == MOST_RUNS
