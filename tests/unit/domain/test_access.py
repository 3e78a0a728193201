"""The role table, and who reaches which tenant."""

import pytest

from recsys.domain.access import GRANTS, Permission, Principal, Role
from recsys.domain.errors import Forbidden, TenantNotFound

ROWS = {
    Permission.SERVE: {Role.SERVING, Role.VIEWER, Role.RESPONDER, Role.OPERATOR, Role.ADMIN},
    Permission.READ: {Role.VIEWER, Role.RESPONDER, Role.OPERATOR, Role.ADMIN, Role.PLATFORM},
    Permission.INSPECT: {Role.RESPONDER, Role.OPERATOR, Role.ADMIN},
    Permission.RESPOND: {Role.RESPONDER, Role.OPERATOR, Role.ADMIN},
    Permission.CHANGE: {Role.OPERATOR, Role.ADMIN},
    Permission.MANAGE_KEYS: {Role.ADMIN, Role.PLATFORM},
    Permission.MANAGE_TENANTS: {Role.PLATFORM},
}


def principal(*roles: Role, tenant_id: str | None = "mine") -> Principal:
    return Principal(sub="ann", actor_type="user", roles=frozenset(roles), tenant_id=tenant_id)


@pytest.mark.parametrize("permission", Permission)
def test_the_role_table(permission: Permission) -> None:
    assert {role for role in Role if permission in GRANTS[role]} == ROWS[permission]


def test_another_tenant_does_not_exist_for_those_bound_to_one() -> None:
    with pytest.raises(TenantNotFound):
        principal(Role.ADMIN).require(Permission.READ, "theirs")
    principal(Role.ADMIN).require(Permission.CHANGE, "mine")


def test_within_the_tenant_the_role_decides() -> None:
    with pytest.raises(Forbidden, match="viewer"):
        principal(Role.VIEWER).require(Permission.CHANGE, "mine")


def test_platform_reaches_every_tenant_but_only_with_its_own_permissions() -> None:
    both = principal(Role.ADMIN, Role.PLATFORM)

    both.require(Permission.READ, "theirs")
    both.require(Permission.CHANGE, "mine")
    with pytest.raises(Forbidden):
        both.require(Permission.CHANGE, "theirs")


def test_a_principal_bound_to_no_tenant_has_its_roles_everywhere() -> None:
    principal(Role.ADMIN, tenant_id=None).require(Permission.CHANGE, "any")
