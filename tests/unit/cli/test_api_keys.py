"""A key is revoked by its id, or by a name that leaves no doubt."""

from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

KEYS = "/v1/admin/tenants/acme/api-keys"
AT = ("-t", "acme", "--url", URL)


def key(id_: str, name: str, **members: Any) -> dict[str, Any]:
    made = {"id": id_, "name": name, "role": "serving", "hint": f"rsk_{id_}", "created_at": "2026-03-01T02:55:00Z"}
    return made | {"created_by": "ann", "revoked_at": None} | members


@pytest.fixture
def keys(service: Service) -> Service:
    listed = [
        key("k1", "shop"), key("k2", "twice"), key("k3", "twice"), key("k4", "k1"),
        key("k5", "gone", revoked_at="2026-03-02T02:55:00Z"), key("k6", "gone"),
    ]  # fmt: skip
    service.on(f"GET {KEYS}", httpx.Response(200, json={"api_keys": listed}))
    for each in listed:
        service.on(f"DELETE {KEYS}/{each['id']}", httpx.Response(204))
    return service


@pytest.mark.parametrize(
    ("said", "revoked"), [("k2", "k2"), ("shop", "k1"), ("k1", "k1"), ("gone", "k6"), ("k5", "k5")]
)
def test_an_id_goes_before_a_name_and_a_name_means_the_key_in_force(keys: Service, said: str, revoked: str) -> None:
    result = run("api-key", "revoke", said, *AT)
    assert result.exit_code == 0, result.stderr
    assert keys.last("DELETE").url.path == f"{KEYS}/{revoked}"
    assert f"Revoked {revoked}" in result.stderr


@pytest.mark.parametrize(
    ("said", "words"), [("twice", ("2 keys", "k2", "k3", "rsk_k3")), ("none", ("recsys api-key list -t acme",))]
)
def test_a_name_of_several_keys_or_of_none_revokes_nothing(keys: Service, said: str, words: tuple[str, ...]) -> None:
    result = run("api-key", "revoke", said, *AT)
    assert result.exit_code == 1
    assert all(word in result.stderr for word in words)
    assert all(request.method == "GET" for request in keys.asked)
