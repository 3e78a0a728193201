"""The hot paths as raw ASGI: the same Structs, authentication, limits, metrics and errors as everything else.

Nothing here touches a database, a file or the network. The table at the end is what the OpenAPI document is made of,
too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from recsys.domain.access import Permission, Principal
from recsys.domain.canonical import has_plain_keys
from recsys.domain.errors import NotReady, PayloadTooLarge
from recsys.domain.event import EventBatch, EventVerdicts
from recsys.domain.exposure import Endpoint, Exposure
from recsys.domain.recommend import (
    Notice,
    Options,
    RankedItem,
    RecommendRequest,
    RecommendResponse,
    SimilarRequest,
    ValidateResponse,
    check_request,
    check_similar,
)
from recsys.domain.validation import decode
from recsys.service.asgi import Receive, Scope, Send, send_answer
from recsys.service.content_type import require_json
from recsys.service.events import take_events
from recsys.service.problem import problem
from recsys.serving.answer import recommend, similar, validate

if TYPE_CHECKING:
    from recsys.service.state import Service
    from recsys.serving.snapshot import Snapshot

AnyServed: TypeAlias = RecommendRequest | SimilarRequest
AnyAnswer: TypeAlias = RecommendResponse | ValidateResponse
Headers: TypeAlias = Mapping[bytes, bytes]

_SHARED_KEPT = 1_024
_encode = msgspec.json.Encoder().encode


class _Sent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A ``RecommendResponse`` whose larger parts are encoded already, since the log wants them too."""

    items: msgspec.Raw
    meta: msgspec.Raw
    warnings: list[Notice]
    trace: dict[str, Any] | None = None
    explain_item: dict[str, Any] | None = None


class Reply(NamedTuple):
    """A whole answer but for its length, which whoever sends it adds."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


@dataclass(frozen=True)
class HotRoute:
    """One hot path: what it takes and what it answers."""

    path: str
    summary: str
    request: type[AnyServed | EventBatch]
    response: type[AnyAnswer | EventVerdicts]


@dataclass(frozen=True)
class AnswerRoute(HotRoute):
    """One that answers from a snapshot, and the functions that check and answer."""

    request: type[AnyServed]
    response: type[AnyAnswer]
    check: Callable[[Any], None]
    answer: Callable[..., AnyAnswer]


ROUTES: tuple[HotRoute, ...] = (
    AnswerRoute("/v1/recommend", "Recommend", RecommendRequest, RecommendResponse, check_request, recommend),
    AnswerRoute(
        "/v1/recommend/validate", "Validate a request", RecommendRequest, ValidateResponse, check_request, validate
    ),
    AnswerRoute("/v1/similar", "Similar items", SimilarRequest, RecommendResponse, check_similar, similar),
    HotRoute("/v1/events", "Record what users did", EventBatch, EventVerdicts),
)


class HotHandler(ABC):
    """Answers one hot path; what it answers is its subclasses' business."""

    def __init__(self, service: Service, path: str) -> None:
        self._service = service
        self._endpoint = f"POST {path}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a POST and answer it."""
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._service.request_ids.of(headers)
        try:
            sent = await _read(receive, headers, self._service.limits.body_bytes)
            answer = self._answer(headers, sent, request_id, started)
            reply = _success(answer if isinstance(answer, bytes) else await answer, request_id)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a problem document
            reply = _refusal(error, request_id)
        await send_answer(send, *reply)
        self._service.metrics.request(self._endpoint, reply.status, perf_counter() - started)

    @abstractmethod
    def _answer(self, headers: Headers, body: bytes, request_id: str, started: float) -> bytes | Awaitable[bytes]:
        """The body of the answer, or what it is waited for with."""


class AnswerHandler(HotHandler):
    """Answers from a snapshot, at once."""

    def __init__(self, service: Service, route: AnswerRoute) -> None:
        super().__init__(service, route.path)
        self._route = route
        self._shared: dict[int, tuple[Sequence[RankedItem], msgspec.Raw]] = {}
        self._decode: Callable[[bytes], AnyServed] = msgspec.json.Decoder(route.request).decode

    def reply(self, headers: Headers, body: bytes) -> Reply:
        """Answer a POST whose body has come, for a server that need not wait: the same as by ASGI."""
        started = perf_counter()
        request_id = self._service.request_ids.of(headers)
        try:
            reply = _success(self._answer(headers, body, request_id, started), request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a problem document
            reply = _refusal(error, request_id)
        self._service.metrics.request(self._endpoint, reply.status, perf_counter() - started)
        return reply

    @property
    def body_bytes(self) -> int:
        """The largest body that is taken."""
        return self._service.limits.body_bytes

    def _answer(self, headers: Headers, body: bytes, request_id: str, started: float) -> bytes:
        service = self._service
        principal, tenant = service.authenticator.admit(headers)
        require_json(headers)
        request = self._read_request(body)
        self._route.check(request)
        _check_inspection(principal, tenant.id, request.options)
        snapshot = self._snapshot(tenant.id)
        now = service.clock.now()
        subject = service.subjects.of(tenant.id, request.user) if isinstance(request, RecommendRequest) else ""
        answer = self._route.answer(
            snapshot, request, request_id=request_id, now=now, stale=service.replica.stale, subject=subject or None
        )
        answer.meta.timings_ms["total"] = round((perf_counter() - started) * 1_000, 3)
        if isinstance(answer, ValidateResponse):
            return _encode(answer)
        service.metrics.answer(tenant.id, len(answer.items), request.k, answer.warnings)
        items, meta = self._encode_items(answer.items), msgspec.Raw(_encode(answer.meta))
        endpoint: Endpoint = "similar" if isinstance(request, SimilarRequest) else "recommend"
        service.log.expose(Exposure(now, endpoint, subject or None, request.k, answer.items, answer.meta, items, meta))
        return _encode(_Sent(items, meta, answer.warnings, answer.trace, answer.explain_item))

    def _encode_items(self, items: Sequence[RankedItem]) -> msgspec.Raw:
        """The items as JSON; those that many are answered are a tuple, and are encoded once."""
        if not isinstance(items, tuple):
            return msgspec.Raw(_encode(items))
        found = self._shared.get(id(items))
        if found is None:
            if len(self._shared) >= _SHARED_KEPT:
                self._shared.clear()
            found = self._shared[id(items)] = (items, msgspec.Raw(_encode(items)))  # kept, so that the id stays its own
        return found[1]

    def _read_request(self, body: bytes) -> AnyServed:
        """Decode quickly what is plainly well-formed; whatever is not is read again by the parser that names faults."""
        if has_plain_keys(body):
            try:
                return self._decode(body)
            except (ValueError, RecursionError):
                pass
        return decode(body, self._route.request)

    def _snapshot(self, tenant_id: str) -> Snapshot:
        snapshot = self._service.replica.snapshot(tenant_id)
        if snapshot is None:
            raise NotReady
        return snapshot


class EventsHandler(HotHandler):
    """Takes events, and answers when they are written."""

    def _answer(self, headers: Headers, body: bytes, request_id: str, started: float) -> Awaitable[bytes]:
        _, tenant = self._service.authenticator.admit(headers)
        require_json(headers)
        return take_events(self._service, tenant.id, body)


def hot_handlers(service: Service) -> dict[str, HotHandler]:
    """The handlers by path."""
    return {route.path: _handler(service, route) for route in ROUTES}


def _handler(service: Service, route: HotRoute) -> HotHandler:
    return AnswerHandler(service, route) if isinstance(route, AnswerRoute) else EventsHandler(service, route.path)


def _success(body: bytes, request_id: str) -> Reply:
    return Reply(200, [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode("ascii"))], body)


def _refusal(error: Exception, request_id: str) -> Reply:
    status, headers, body, _ = problem(error, request_id)
    return Reply(status, [*headers, (b"x-request-id", request_id.encode("ascii"))], body)


def _check_inspection(principal: Principal, tenant_id: str, options: Options) -> None:
    if options.explain == "full" or options.include_trace or options.explain_item is not None:
        principal.require(Permission.INSPECT, tenant_id)


async def _read(receive: Receive, headers: Headers, limit: int) -> bytes:
    announced = headers.get(b"content-length", b"0")
    if len(announced) > 18 or (announced.isdigit() and int(announced) > limit):
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the {limit} bytes that this endpoint takes.")
