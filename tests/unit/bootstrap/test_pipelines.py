"""Several places of raw events are one source, in which each file has the name under which it was given."""

from pathlib import Path

import pytest

from recsys.bootstrap.pipelines import open_sources


def names(*places: str) -> list[str]:
    return [file.name for file in open_sources(places, None, "any", Path("in/work")).files()]


def test_a_file_has_the_name_it_was_given_one_named_twice_is_read_once_and_no_work_of_the_pipelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in/work/staged").mkdir(parents=True)
    Path("in/work/staged/rows.parquet").write_bytes(b"")
    for name in ("in/a.jsonl", "in/b.csv", "c.csv"):
        Path(name).write_text(name)
    assert names("in/a.jsonl") == ["in/a.jsonl"]
    assert names("in/a.jsonl", "c.csv", "in/b.csv") == ["c.csv", "in/a.jsonl", "in/b.csv"]
    assert names("in/", "in/a.jsonl") == ["in/a.jsonl", "in/b.csv"]
    assert names(str(tmp_path / "c.csv")) == [str(tmp_path / "c.csv")]

    source = open_sources(["in", "c.csv"], None, "any", Path("in/work"))
    for file in source.files():
        with source.open(file) as stream:
            assert stream.read().decode() == file.name


def test_a_device_is_called_what_it_was_given_as() -> None:
    assert names("/dev/null") == ["/dev/null"]
