"""The front door alone: where requests go, and what it does when both sides fail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

from recsys.service.metrics import Metrics
from recsys.service.request_id import RequestIds
from recsys.service.switch import Switch


async def ask(switch: Switch, path: str, method: str = "POST", **more: Any) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await switch({"type": "http", "path": path, "method": method, "headers": [], **more}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def answering(text: bytes) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})

    return application


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("secret")


def switch(rest: Any) -> Switch:
    service: Any = SimpleNamespace(metrics=Metrics(), request_ids=RequestIds())
    return Switch(service, {"/hot": answering(b"hot")}, rest)


async def test_a_post_on_a_hot_path_is_answered_there() -> None:
    assert (await ask(switch(answering(b"rest")), "/hot"))[2] == b"hot"


async def test_everything_else_is_answered_by_the_rest_with_an_id() -> None:
    for path in ("/hot/", "/ho", "/"):
        status, headers, body = await ask(switch(answering(b"rest")), path)
        assert (status, body) == (200, b"rest")
        assert headers[b"x-request-id"]


async def test_another_method_on_a_hot_path_is_refused() -> None:
    status, headers, body = await ask(switch(answering(b"rest")), "/hot", "GET")
    assert (status, headers[b"allow"]) == (405, b"POST")
    assert msgspec.json.decode(body)["code"] == "RECSYS_METHOD_NOT_ALLOWED"


async def test_an_encoded_slash_is_refused_before_it_is_taken_for_a_separator() -> None:
    status, _, body = await ask(switch(answering(b"rest")), "/a/../b", raw_path=b"/a/..%2Fb")
    assert (status, msgspec.json.decode(body)["code"]) == (400, "RECSYS_INVALID_REQUEST")


async def test_a_defect_beyond_litestar_is_a_problem_too() -> None:
    status, headers, body = await ask(switch(broken), "/")
    problem = msgspec.json.decode(body)
    assert (status, problem["code"]) == (500, "RECSYS_INTERNAL")
    assert problem["request_id"].encode() == headers[b"x-request-id"]
    assert b"secret" not in body


async def test_other_protocols_go_to_the_rest() -> None:
    seen = []

    async def rest(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    nothing: Any = None
    await switch(rest)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
