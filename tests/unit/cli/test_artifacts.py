"""Where artifacts are is asked of a person, with an example."""

import pytest

from tests.unit.cli.conftest import URL, Service, run


@pytest.mark.parametrize("command", [("list",), ("show", "ab12"), ("publish", "popularity=x.arrow")])
def test_without_a_store_the_question_has_an_example(
    service: Service, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("RECSYS_ARTIFACTS", raising=False)
    result = run("artifacts", *command, "-t", "acme", "-s", "home", "--url", URL)
    assert result.exit_code == 2
    assert "export RECSYS_ARTIFACTS=/srv/recsys/recsys-artifacts" in result.stderr
    assert not service.asked
