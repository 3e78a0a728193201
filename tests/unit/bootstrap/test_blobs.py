"""Which store of artifacts the settings open."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.bootstrap.blobs import open_blobs
from recsys.bootstrap.settings import Settings, SettingsError
from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.object_store_blobs import ObjectStoreBlobStore


async def test_without_a_setting_it_lies_beside_the_database(tmp_path: Path) -> None:
    store = open_blobs(Settings(), tmp_path)
    await store.put("t/a.json", b"{}")

    assert isinstance(store, LocalBlobStore)
    assert (tmp_path / "recsys-artifacts" / "t" / "a.json").read_bytes() == b"{}"


def test_a_bucket_is_opened_without_asking_it(tmp_path: Path) -> None:
    store = open_blobs(Settings(artifacts="s3://bucket/some/prefix"), tmp_path)

    assert isinstance(store, ObjectStoreBlobStore)


@pytest.mark.parametrize(
    "place", ["gs://bucket", "s3://", "s3:///prefix", "s3://b/../c", "https://host/x", "s3://b/a%20b"]
)
def test_another_sort_of_store_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match="RECSYS_ARTIFACTS takes a directory or s3://bucket/prefix"):
        Settings.from_environment({"RECSYS_ARTIFACTS": place})
