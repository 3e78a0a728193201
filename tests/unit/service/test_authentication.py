"""Principals and actors out of headers."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from recsys.domain.access import Principal, Role
from recsys.domain.api_key import ApiKey, hash_key
from recsys.domain.errors import Forbidden, InvalidRequest, NotReady, TenantNotFound, Unauthenticated
from recsys.domain.tenant import Tenant
from recsys.service.authentication import Authenticator, actor_of
from recsys.serving.directory import Directory

NOW = datetime(2025, 1, 1, tzinfo=UTC)
DEMO = Tenant(id="11111111-1111-1111-1111-111111111111", external_id="demo", name="Demo", created_at=NOW)
OTHER = Tenant(id="22222222-2222-2222-2222-222222222222", external_id="other", name="Other", created_at=NOW)


def key(secret: str, tenant_id: str | None, role: Role) -> ApiKey:
    return ApiKey(
        id=secret, tenant_id=tenant_id, name="k", role=role, hint="rsk_", key_hash=hash_key(secret), created_at=NOW,
        created_by_sub="ada",
    )  # fmt: skip


def replica(*, synced: bool = True) -> Any:
    directory = Directory.of([DEMO, OTHER], [key("serve", DEMO.id, Role.SERVING), key("plat", None, Role.PLATFORM)])
    return SimpleNamespace(directory=directory if synced else Directory(), synced=synced)


def test_a_key_is_its_principal() -> None:
    authenticator = Authenticator(replica())
    for headers in ({b"x-api-key": b"serve"}, {b"authorization": b"Bearer serve"}):
        principal = authenticator.principal(headers)
        assert principal == Principal(
            sub="key:serve", actor_type="api_key", roles=frozenset({Role.SERVING}), tenant_id=DEMO.id
        )
        assert authenticator.served_tenant(principal, headers) == DEMO


@pytest.mark.parametrize(
    "headers", [{}, {b"x-api-key": b"\xff"}, {b"authorization": b"Basic serve"}, {b"x-dev-user-id": b"ada"}]
)
def test_nobody(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Unauthenticated):
        Authenticator(replica()).principal(headers)


def test_keys_cannot_be_judged_before_the_first_sync() -> None:
    with pytest.raises(NotReady):
        Authenticator(replica(synced=False)).principal({b"x-api-key": b"serve"})


def test_a_wrong_key_is_not_saved_by_developer_headers() -> None:
    with pytest.raises(Unauthenticated):
        Authenticator(replica(), dev_headers=True).principal({b"x-api-key": b"no", b"x-dev-user-id": b"ada"})


def test_platform_keys_serve_no_tenant() -> None:
    headers = {b"x-api-key": b"plat", b"x-org-id": b"demo"}
    authenticator = Authenticator(replica())
    with pytest.raises(Forbidden):
        authenticator.served_tenant(authenticator.principal(headers), headers)


def test_developers_belong_where_they_say() -> None:
    authenticator = Authenticator(replica(), dev_headers=True)
    headers = {b"x-dev-user-id": b"ada", b"x-dev-org-id": b"demo", b"x-dev-roles": b"viewer, responder"}
    principal = authenticator.principal(headers)
    assert principal.tenant_id == DEMO.id
    assert principal.roles == {Role.VIEWER, Role.RESPONDER}
    assert authenticator.served_tenant(principal, headers) == DEMO
    assert authenticator.served_tenant(principal, {**headers, b"x-org-id": OTHER.id.encode()}) == OTHER
    free = authenticator.principal({b"x-dev-user-id": b"ada"})
    assert free.tenant_id is None
    assert free.roles == {Role.ADMIN, Role.PLATFORM}
    with pytest.raises(InvalidRequest, match="X-Org-Id"):
        authenticator.served_tenant(free, {b"x-dev-user-id": b"ada"})
    with pytest.raises(TenantNotFound):
        authenticator.principal({b"x-dev-user-id": b"ada", b"x-dev-org-id": b"nowhere"})
    with pytest.raises(InvalidRequest, match="king"):
        authenticator.principal({b"x-dev-user-id": b"ada", b"x-dev-roles": b"king"})


def test_the_actor_is_what_audit_will_say() -> None:
    principal = Principal(sub="ada", actor_type="user", roles=frozenset())
    headers = {b"user-agent": b"x" * 1_000, b"x-change-reason": " größer ".encode()}
    actor = actor_of(principal, headers, request_id="r", client_ip="10.0.0.1")
    assert actor.reason == "größer"
    assert (actor.sub, actor.actor_type, actor.request_id, actor.ip) == ("ada", "user", "r", "10.0.0.1")
    assert actor.user_agent == "x" * 256


@pytest.mark.parametrize("reason", [b"x" * 1_001, b"a\x00b", b"a\nb", b"\xff\xfe", "a\x85b".encode()])
def test_reasons_that_no_log_should_hold(reason: bytes) -> None:
    principal = Principal(sub="ada", actor_type="user", roles=frozenset())
    with pytest.raises(InvalidRequest, match="X-Change-Reason"):
        actor_of(principal, {b"x-change-reason": reason}, request_id=None, client_ip=None)
