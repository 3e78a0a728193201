"""Where a service puts what it keeps beside the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.bootstrap.settings import Settings
from recsys.bootstrap.wiring import build_service, cache_directory, has_last_good
from recsys.serving.remembering_store import RememberingServingStore
from recsys.storage.engine import open_database


def directory_of(db: str, **settings: str) -> Path | None:
    return cache_directory(Settings(db=db, **settings), open_database(db))  # type: ignore[arg-type]


def test_the_cache_stays_beside_the_file_or_in_the_working_directory(tmp_path: Path) -> None:
    beside = directory_of(f"sqlite:///{tmp_path}/shop.db")
    assert beside is not None
    assert beside.parent == tmp_path / "recsys-cache"
    working = directory_of("postgresql://u@h/d")
    assert working is not None
    assert working.parent == Path("recsys-cache")
    assert directory_of("sqlite:///:memory:") is None


def test_databases_that_share_a_cache_have_folders_of_their_own(tmp_path: Path) -> None:
    urls = ["postgresql://u@h/one", "postgresql://u@h/two", f"sqlite:///{tmp_path}/shop.db"]
    found = {directory_of(url, cache_dir=str(tmp_path)) for url in urls}
    assert len(found) == len(urls)
    assert {path.parent for path in found if path} == {tmp_path}


@pytest.mark.parametrize("run", [True, False])
def test_only_a_run_of_the_service_remembers(tmp_path: Path, run: bool) -> None:
    settings = Settings(db=f"sqlite:///{tmp_path}/shop.db", run_dir=str(tmp_path) if run else None)
    service = build_service(settings)
    assert isinstance(service.replica._store, RememberingServingStore) is run
    service.metrics.close()


def test_a_copy_is_looked_for_where_the_service_keeps_it(tmp_path: Path) -> None:
    settings = Settings(db=f"sqlite:///{tmp_path}/shop.db")
    assert not has_last_good(settings)
    directory = cache_directory(settings, open_database(settings.db))
    assert directory is not None
    directory.mkdir(parents=True)
    (directory / "last-good.json").touch()
    assert has_last_good(settings)
