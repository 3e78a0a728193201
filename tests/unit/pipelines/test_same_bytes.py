"""The same events are the same bytes: again, in another order, with other threads, in other parts, and on Spark."""

import random
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pytest

from recsys.artifacts.codec import decode
from recsys.domain.manifest import ArtifactKind
from recsys.pipelines.compute import Inputs, artifact_of, compute
from recsys.pipelines.engine import DuckDBEngine, Engine, SparkEngine, spark_session
from recsys.pipelines.place import Place
from recsys.pipelines.settings import Cooc, Embedding, Implicit, Limits, PipelineSettings, SessionKnn
from tests.support.pipeline import inputs, random_events, two_groups, write_events

SETTINGS = PipelineSettings(
    cooc=Cooc(half_life_days=4, session_items=4, neighbours=6),
    session_knn=SessionKnn(sessions_per_item=5, session_items=4),
    limits=Limits(pairs_per_chunk=2_000),
)
IN_ONE_CHUNK = msgspec.structs.replace(SETTINGS, limits=Limits(pairs_per_chunk=10**9))
FROM_EVENTS: tuple[ArtifactKind, ...] = (
    "popularity", "cooc", "implicit", "session_seq", "session_knn", "history",
)  # fmt: skip
EVENTS = random_events(2_500, seed=11)

SMALL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.log.level": "ERROR",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",  # compiling takes longer than so few rows
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # so does optimising what is compiled
}

with_spark = pytest.mark.xdist_group("spark")


def hashes(given: Inputs, directory: Path, kinds: tuple[ArtifactKind, ...] = FROM_EVENTS) -> dict[str, str]:
    return {made.kind: made.sha256 for made in compute(Place(directory), given, kinds)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("expected")
    engine = DuckDBEngine(directory / "spill", 512, threads=1)
    tables = [write_events(directory / "all.parquet", EVENTS)]
    found = hashes(inputs(engine, tables, SETTINGS), directory)
    engine.close()
    return found


def test_every_kind_has_something_to_compare(expected: dict[str, str], tmp_path: Path) -> None:
    assert len(set(expected.values())) == len(FROM_EVENTS)
    assert set(FROM_EVENTS) | {"content_sim", "catalog", "embedding"} == set(get_args(ArtifactKind))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_order_and_division_into_files_do_not_matter(
    tmp_path: Path, expected: dict[str, str], threads: int
) -> None:
    shuffled = list(EVENTS)
    random.Random(threads).shuffle(shuffled)
    parts = [shuffled[part::threads] for part in range(threads)]
    tables = [write_events(tmp_path / f"{number}.parquet", part) for number, part in enumerate(parts)]
    engine = DuckDBEngine(tmp_path / "spill", 256, threads)
    assert hashes(inputs(engine, tables, SETTINGS), tmp_path) == expected
    engine.close()


def test_the_size_of_a_chunk_does_not_matter(tmp_path: Path, expected: dict[str, str]) -> None:
    engine = DuckDBEngine(tmp_path / "spill", 512)
    tables = [write_events(tmp_path / "all.parquet", EVENTS)]
    assert hashes(inputs(engine, tables, IN_ONE_CHUNK), tmp_path) == expected
    engine.close()


@pytest.mark.parametrize(("exact_items", "depends"), [(4, False), (3, True)])
def test_what_an_approximate_index_found_is_said_to_depend_on_the_machine(
    tmp_path: Path, exact_items: int, depends: bool
) -> None:
    engine = DuckDBEngine(tmp_path / "spill", 256)
    given = inputs(engine, [], PipelineSettings(embedding=Embedding(exact_items=exact_items)))
    given.vectors = pa.table({"item_id": list("abcd"), "vector": [[1.0, 0.1], [0.9, 0.2], [0.1, 1.0], [0.5, 0.5]]})
    (made,) = compute(Place(tmp_path), given, ["embedding"])
    assert made.depends_on_engine is depends
    assert made.engine == f"duckdb {version('duckdb')}"
    engine.close()


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One local Spark for all tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = spark_session(512, **SMALL)
        yield session
        session.stop()


@pytest.fixture
def spark_engine(spark: Any, tmp_path: Path) -> Iterator[Engine]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield SparkEngine(spark, tmp_path)


@with_spark
def test_spark_gives_the_bytes_of_duckdb(tmp_path: Path, spark_engine: Engine, expected: dict[str, str]) -> None:
    shuffled = list(EVENTS)
    random.Random(5).shuffle(shuffled)
    tables = [
        write_events(tmp_path / "a.parquet", shuffled[:1_000]),
        write_events(tmp_path / "b.parquet", shuffled[1_000:]),
    ]
    assert hashes(inputs(spark_engine, tables, IN_ONE_CHUNK), tmp_path) == expected


@with_spark
def test_als_on_spark_is_mllib_s_finds_the_items_of_like_users_and_says_that_it_depends(
    tmp_path: Path, spark_engine: Engine
) -> None:
    tables = [write_events(tmp_path / "two.parquet", two_groups())]
    settings = PipelineSettings(implicit=Implicit(method="als", factors=4, iterations=3, items=1))
    place = Place(tmp_path)
    (made,) = compute(place, inputs(spark_engine, tables, settings), ["implicit"])
    assert (made.depends_on_engine, made.engine) == (True, f"spark {version('pyspark')}")
    found = decode("implicit", artifact_of(place, None, "implicit").read_bytes()).to_table().to_pylist()
    assert {("p1", "a"), ("q1", "w")} <= {(row["user_id"], row["item_id"]) for row in found}
