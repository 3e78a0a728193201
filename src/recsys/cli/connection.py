"""The one way to the service: an HTTP request over the network (``--url``) or into the app in this process (``--db``).

Both go through the same client, so a command cannot tell them apart: when the service is down, the same use cases run
on the database, and the audit log shows ``actor_type`` cli.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from recsys.cli.failure import Failure, Misused, Refused
from recsys.cli.hints import hints_for, hints_without_answer
from recsys.cli.person import os_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 900.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Target:
    """Where a command's requests go: exactly one of ``url`` and ``db`` is set."""

    url: str | None = None
    api_key: str | None = None
    db: str | None = None

    def __str__(self) -> str:
        return self.url or self.db or ""


class Api:
    """Sends requests and waits for their answers; every error answer becomes a ``Refused``."""

    def __init__(self, client: httpx.AsyncClient, runner: asyncio.Runner, target: Target) -> None:
        self._client = client
        self._runner = runner
        self.target = target

    def get(self, path: str, **params: object) -> httpx.Response:
        """Read something; parameters that are None are left out."""
        return self.request("GET", path, params=params)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
        timeout_s: float = TIMEOUT_S,
    ) -> httpx.Response:
        """Send one request.

        Raises:
            Refused: the service answered with an error.
            Failure: there was no answer.
        """
        sent = self._client.request(
            method,
            path,
            params={name: str(value) for name, value in (params or {}).items() if value is not None},
            headers=httpx.Headers(headers, encoding="utf-8"),
            content=content,
            json=json,
            timeout=timeout_s,
        )
        response = self._await(sent, hints_without_answer(method, path), timeout_s)
        if not response.is_success:
            raise Refused(response, *hints_for(response))
        return response

    def _await(self, sent: Any, unknown: Iterator[str], timeout_s: float) -> httpx.Response:
        try:
            response: httpx.Response = self._runner.run(sent)
        except httpx.ConnectError as error:
            raise _nobody_answers(self.target, error) from None
        except httpx.TimeoutException:
            raise Failure(f"{self.target} did not answer within {timeout_s:.0f} s.", *unknown) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Misused(f"{self.target} is not the address of a service: {error}", _URL_HINT) from None
        except httpx.LocalProtocolError as error:
            raise Misused(f"This cannot be sent: {_words(error)}; nothing was.") from None
        except httpx.TransportError as error:
            raise Failure(f"The connection to {self.target} broke: {_words(error)}.", *unknown) from None
        return response


@contextmanager
def connect(target: Target, *, serving: bool = False) -> Iterator[Api]:
    """Open the way to the service, and close it at the end. ``serving``: it will be asked to recommend.

    Raises:
        Failure: ``--db`` names a database that cannot be used, saying what to do.
    """
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            client = runner.run(_open(stack, target, serving=serving))
            yield Api(client, runner, target)
        finally:
            runner.run(stack.aclose())


async def _open(stack: AsyncExitStack, target: Target, *, serving: bool) -> httpx.AsyncClient:
    if target.db is not None:
        from recsys.cli.in_process import in_process_client

        return await stack.enter_async_context(in_process_client(target.db, serving=serving))
    return await stack.enter_async_context(network_client(target))


def network_client(target: Target, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """A client for a running service. Without a key it introduces the person to a ``--dev-auth`` service nearby."""
    try:
        url = httpx.URL(target.url or "")
    except httpx.InvalidURL as error:
        raise Misused(f"{target.url} is not the address of a service: {error}", _URL_HINT) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise Misused(f"{target.url!r} is not the address of a service.", _URL_HINT)
    headers = {}
    if target.api_key:
        headers["X-API-Key"] = target.api_key
    elif url.host in _LOOPBACK:
        headers["X-Dev-User-Id"] = os_user()
    return httpx.AsyncClient(
        base_url=url,
        headers=httpx.Headers(headers, encoding="utf-8"),
        transport=transport,
        trust_env=url.host not in _LOOPBACK,  # a proxy cannot know this machine
    )


_URL_HINT = "Give it like this: --url http://127.0.0.1:8080"


def _nobody_answers(target: Target, error: Exception) -> Failure:
    return Failure(
        f"Nobody answers at {target}: {_words(error)}.",
        "Is the service running? `recsys serve --db … --port …` starts one.",
        f"Are host and port right? curl {target}/healthz",
        "If it is down and you must act now, work on its database: the same command with --db instead of --url.",
    )


def _words(error: Exception) -> str:
    """What an error says, ready to be followed by a full stop."""
    return str(error).rstrip(".") or type(error).__name__
