"""A demo that was built by other code or from other data is built anew."""

from __future__ import annotations

from pathlib import Path

import pytest

import recsys
from recsys.demo.place import fingerprint


@pytest.mark.parametrize("name", ["ranking/weighting.py", "control/publish.py", "demo/data/lines.parquet"])
def test_whatever_decides_what_is_built_is_in_the_fingerprint(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recsys, "__file__", str(tmp_path / "__init__.py"))
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text("before")
    before = fingerprint()

    (tmp_path / "cached.pyc").write_text("made by whoever ran it")
    assert fingerprint() == before
    file.write_text("after")
    assert fingerprint() != before
