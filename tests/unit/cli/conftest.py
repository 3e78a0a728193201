"""Commands run here against a service that is a function: what it was asked is kept, what it answers is given."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from typer.testing import CliRunner, Result

from recsys.cli import connection
from recsys.cli.commands import build_app

Answer = Callable[[httpx.Request], httpx.Response]
URL = "http://service.test"


@dataclass
class Service:
    """Answers by method and path; a list of answers is given one after the other, the last one again and again."""

    answers: dict[str, list[Answer | httpx.Response]] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    def on(self, request: str, *answers: Answer | httpx.Response) -> None:
        self.answers[request] = list(answers)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        waiting = self.answers[f"{request.method} {request.url.path}"]
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return answer(request) if callable(answer) else answer

    def last(self, method: str) -> httpx.Request:
        return next(request for request in reversed(self.asked) if request.method == method)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service at ``URL``."""
    for name in ("RECSYS_URL", "RECSYS_API_KEY", "RECSYS_DB", "RECSYS_TENANT"):
        monkeypatch.delenv(name, raising=False)
    fake, real = Service(), connection.network_client

    def client(target: connection.Target) -> httpx.AsyncClient:
        return real(target, httpx.MockTransport(fake.handle))

    monkeypatch.setattr(connection, "network_client", client)
    return fake


def run(*arguments: str, text: str | None = None) -> Result:
    """Run a command, as a shell would."""
    return CliRunner().invoke(build_app(), arguments, input=text, env={"COLUMNS": "200"})
