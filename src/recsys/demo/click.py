"""The tour's click: what was shown and what was done about it meet under one ``request_id``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recsys.demo.guide import Answer, Guide

WRITTEN_WITHIN_S = 5.0


def click_first(guide: Guide, request: Mapping[str, Any], answer: Answer, logs: Path) -> None:
    """Send a click on the first item of the answer to ``request``, and show that the answer is in the log."""
    request_id: str = answer.meta["request_id"]
    event = {
        "event_id": f"click-{request_id}",
        "type": "click",
        "surface": request["surface"],
        "item_id": answer.ranked()[0]["item_id"],
        "user": request["user"],
        "request_id": request_id,
    }
    told = guide.send("POST", "/v1/events", json={"events": [event]}).json()
    guide.hold("a click on the first item, sent with the answer's request_id, is accepted", told["accepted"] == 1)
    file = _find_exposure(guide, logs, answer)
    guide.screen.holds("the answer is in the log under that request_id")
    guide.screen.path(file)


def _find_exposure(guide: Guide, logs: Path, answer: Answer) -> Path:
    """The file with the line of an answer, which a thread of the service writes in its own time."""
    wanted = f'"request_id":"{answer.meta["request_id"]}"'
    give_up_at = time.monotonic() + WRITTEN_WITHIN_S
    while True:
        for file in logs.glob(f"exposures/{answer.meta['tenant_id']}/*/*.jsonl"):
            if wanted in file.read_text(encoding="utf-8"):
                return file
        guide.require(f"the answer is in {logs} within {WRITTEN_WITHIN_S:.0f} s", time.monotonic() < give_up_at)
        time.sleep(0.05)
