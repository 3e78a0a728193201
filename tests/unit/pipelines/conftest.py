from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pipeline import Bench, duckdb_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with duckdb_bench(tmp_path) as made:
        yield made
