"""A directory store on a mount that hangs. What it does otherwise: tests/contract/test_blob_store.py."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from recsys.storage.local_blobs import LocalBlobStore
from recsys.storage.marks import Marks

MORE_THAN_THERE_ARE_THREADS = 3 * ((os.cpu_count() or 1) + 4)


async def test_a_mount_that_hangs_takes_no_threads_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def hang(store: LocalBlobStore, name: str) -> None:
        answers.wait()

    monkeypatch.setattr(LocalBlobStore, "_find", hang)
    store = LocalBlobStore(tmp_path, Marks(None), max_bytes=1_000)
    asked = [asyncio.create_task(store.find(f"t/home/cooc/{n:064x}.arrow")) for n in range(MORE_THAN_THERE_ARE_THREADS)]
    try:
        await asyncio.sleep(0.1)
        async with asyncio.timeout(2):
            assert await asyncio.to_thread(lambda: "done") == "done"
    finally:
        answers.set()
        await asyncio.gather(*asked)
