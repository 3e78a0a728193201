"""Each guard of a change, taken away, makes a test fail: the tests would notice if somebody took it away."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A text of a module, what stands in its place, and the test that must fail."""

    name: str
    module: str
    old: str
    new: str
    killer: str


MUTANTS = [
    Mutant(
        "drops the revision guard",
        "recsys.domain.precondition",
        "return preconditions.if_revision in (None, current.revision if current else 0)",
        "return True",
        "tests/contract/test_change_document.py::test_if_revision_sees_what_a_hash_cannot",
    ),
    Mutant(
        "ignores If-Match",
        "recsys.domain.precondition",
        "if preconditions.if_match and (",
        "if preconditions.if_match and False and (",
        "tests/contract/test_change_document.py::test_a_stale_if_match_is_a_mismatch_that_says_who_when_and_what",
    ),
    Mutant(
        "writes the audit entry outside the transaction",
        "recsys.storage.transaction",
        """            *(new_audit_entry(self._actor, r, entry.occurred_at, self.locked.id, entry.revision) for r in records),
        )
""",
        """        )
        async with self._connection.engine.connect() as apart:
            await write(
                apart,
                *(new_audit_entry(self._actor, r, entry.occurred_at, self.locked.id, entry.revision) for r in records),
            )
            await apart.commit()
""",
        "tests/contract/test_change_document.py::test_a_change_that_fails_late_leaves_nothing[postgresql]",
    ),
    Mutant(
        "accepts a lower revision",
        "recsys.serving.keeper",
        "        if self._is_behind(head):\n",
        "        if False:\n",
        "tests/unit/serving/test_replica.py::test_a_restored_database_is_adopted_when_seen_twice",
    ),
    Mutant(
        "fills without comparing",
        "recsys.serving.composition",
        "revision < held.revision",
        "False",
        "tests/unit/serving/test_replica.py::test_a_slow_old_fill_never_overwrites_a_newer_one",
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant) -> None:
    environ = os.environ | {"MUTANT": json.dumps([mutant.module, mutant.old, mutant.new]), "CI": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.mutation", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, mutant.killer], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )

    assert " failed" in ran.stdout, f"the mutant that {mutant.name} lives:\n{ran.stdout}\n{ran.stderr}"
    assert "LookupError" not in ran.stdout + ran.stderr
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
