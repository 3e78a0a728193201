"""A folder and an object store with the same files are the same source."""

from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from recsys.domain.ports import SourceFiles
from recsys.storage.source_folder import SourceFolder
from recsys.storage.source_objects import SourceObjects

CONTENTS = {
    "b.jsonl": b"one\ntwo\n",
    "2026/a.csv": b"x",
    "C.PARQUET": b"",
    "d.jsonl.gz": b"",
    "e.parquet.gz": b"no",
    "notes.txt": b"no",
    ".hidden/d.jsonl": b"no",
}
Make = Callable[[dict[str, bytes]], SourceFiles]


@pytest.fixture(params=["folder", "objects"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def in_folder(contents: dict[str, bytes]) -> SourceFiles:
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return SourceFolder(tmp_path)

    store = MemoryStore()

    def in_store(contents: dict[str, bytes]) -> SourceFiles:
        for name, content in contents.items():
            store.put(name, content)
        return SourceObjects(store)

    return in_folder if request.param == "folder" else in_store


def test_files_of_events_are_listed_in_order_and_others_are_named(make: Make) -> None:
    source = make(CONTENTS)
    files = source.files()
    assert [(file.name, file.size) for file in files] == [
        ("2026/a.csv", 1),
        ("C.PARQUET", 0),
        ("b.jsonl", 8),
        ("d.jsonl.gz", 0),
    ]
    assert source.left_out() == ["e.parquet.gz", "notes.txt"]


def test_a_file_can_be_read_by_lines_and_wound_back(make: Make) -> None:
    source = make(CONTENTS)
    (file,) = [file for file in source.files() if file.name == "b.jsonl"]
    with source.open(file) as stream:
        assert (stream.readline(), stream.readline(2), stream.read()) == (b"one\n", b"tw", b"o\n")
        stream.seek(0)
        assert stream.read(3) == b"one"


def test_a_file_of_another_content_has_another_version(make: Make) -> None:
    before = make({"a.csv": b"x"}).files()
    assert make({"a.csv": b"x"}).files()[0].size == 1
    assert make({"a.csv": b"y"}).files() != before


def test_a_single_file_is_a_source_and_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "any.csv").write_bytes(b"x")
    assert [file.name for file in SourceFolder(tmp_path / "any.csv").files()] == ["any.csv"]
    with pytest.raises(FileNotFoundError, match="nothing"):
        SourceFolder(tmp_path / "nothing")
