"""The same requests, documents and data give byte-identical items on both databases, whatever else differs."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.databases import PostgresTemplate, SqliteTemplate

ROOT = Path(__file__).parents[2]


def answers(url: str, shuffle_seed: int, hash_seed: str, threads: str) -> bytes:
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, "-m", "tests.support.answers", url, str(shuffle_seed)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environ)
    return done.stdout


def test_databases_load_orders_hash_seeds_and_threads_do_not_matter(
    sqlite_template: SqliteTemplate, postgres_template: PostgresTemplate
) -> None:
    first = answers(sqlite_template.fresh(), 1, "0", "1")
    assert first.count(b"\n") == 60
    assert b"\xf0\x9f\x98\x80" in first

    for number, hash_seed in enumerate(("1", "2", "4294967295", "random"), 2):
        template = postgres_template if number % 2 == 0 else sqlite_template
        assert answers(template.fresh(), number, hash_seed, str(number % 2 + 1)) == first
