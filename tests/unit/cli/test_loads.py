"""What a load asks the service for, and what helps when an empty one is refused."""

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

TENANT = "/v1/admin/tenants/acme"
AT = ("-t", "acme", "-s", "home", "--format", "ndjson", "--url", URL)
REFUSED = {
    "title": "Unprocessable entity", "detail": "x", "code": "RECSYS_UNPROCESSABLE_ENTITY",
    "errors": [{"pointer": "", "detail": "There are no rows. If that is meant: query parameter allow_empty=true."}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "path"),
    [(("items", "load"), f"{TENANT}/items"), (("signals", "load", "cooc"), f"{TENANT}/signals/cooc")],
)
def test_an_empty_replace_is_refused_with_its_option_and_taken_with_it(
    service: Service, command: tuple[str, ...], path: str
) -> None:
    answer = {"rows": 0, "dataset": "items", "surface": "home", "mode": "replace", "data_revision": 2}
    service.on(f"PUT {path}", httpx.Response(422, json=REFUSED), httpx.Response(200, json=answer))
    refused = run(*command, "-", "--mode", "replace", *AT, text="")
    assert refused.exit_code == 1
    assert "--allow-empty" in refused.stderr
    assert dict(service.last("PUT").url.params) == {"surface": "home", "mode": "replace"}

    assert run(*command, "-", "--mode", "replace", "--allow-empty", *AT, text="").exit_code == 0
    assert dict(service.last("PUT").url.params) == {"surface": "home", "mode": "replace", "allow_empty": "true"}


def test_a_name_that_says_no_format_is_a_usage_error_that_names_the_option(service: Service) -> None:
    result = run("items", "load", "rows.txt", "-t", "acme", "-s", "home", "--url", URL)
    assert result.exit_code == 2
    assert "The name rows.txt does not say how it is written." in result.stderr
    assert "--format ndjson or --format csv" in result.stderr
    assert not service.asked
