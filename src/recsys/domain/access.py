"""Who may do what: roles, permissions and the principal of a request."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from recsys.domain.errors import Forbidden, TenantNotFound


class Role(StrEnum):
    """What a key or a person is trusted with."""

    SERVING = "serving"
    VIEWER = "viewer"
    RESPONDER = "responder"
    OPERATOR = "operator"
    ADMIN = "admin"
    PLATFORM = "platform"


class Permission(StrEnum):
    """One row of the role table."""

    SERVE = "recommend, similar, validate and send events"
    READ = "read documents, status and audit metadata"
    INSPECT = "read audit states, full explanations and traces"
    RESPOND = "roll back, invalidate and quarantine"
    CHANGE = "change documents, load data, freeze and preview"
    MANAGE_KEYS = "manage the tenant's API keys"
    MANAGE_TENANTS = "create and suspend tenants"


_TENANT_ROLES = {
    Role.SERVING: {Permission.SERVE},
    Role.VIEWER: {Permission.SERVE, Permission.READ},
    Role.RESPONDER: {
        Permission.SERVE,
        Permission.READ,
        Permission.INSPECT,
        Permission.RESPOND,
    },
}
_OPERATOR = _TENANT_ROLES[Role.RESPONDER] | {Permission.CHANGE}
GRANTS: dict[Role, frozenset[Permission]] = {
    **{role: frozenset(granted) for role, granted in _TENANT_ROLES.items()},
    Role.OPERATOR: frozenset(_OPERATOR),
    Role.ADMIN: frozenset(_OPERATOR | {Permission.MANAGE_KEYS}),
    Role.PLATFORM: frozenset({Permission.READ, Permission.MANAGE_KEYS, Permission.MANAGE_TENANTS}),
}
"""The role table. ``platform`` reaches every tenant; the others only their own."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking. ``tenant_id`` None: not bound to one tenant (platform keys, the CLI, a developer)."""

    sub: str
    actor_type: str
    roles: frozenset[Role]
    tenant_id: str | None = None

    def may(self, permission: Permission) -> bool:
        """Whether any of the roles grants ``permission``."""
        return any(permission in GRANTS[role] for role in self.roles)

    def require(self, permission: Permission, tenant_id: str | None = None) -> None:
        """Insist on a permission, within a tenant where one is given.

        Raises:
            TenantNotFound: the tenant is another's; the answer is the same as for one that does not exist.
            Forbidden: the roles do not grant it.
        """
        if tenant_id is not None and not self.reaches(tenant_id):
            raise TenantNotFound
        granted = self.may(permission)
        if granted and tenant_id is not None and self.tenant_id not in (None, tenant_id):
            # Beyond its own tenant, a platform principal has the platform role alone.
            granted = permission in GRANTS[Role.PLATFORM]
        if not granted:
            raise Forbidden(f"Your role ({', '.join(sorted(self.roles))}) does not allow you to {permission.value}.")

    def reaches(self, tenant_id: str) -> bool:
        """Whether the tenant exists for this principal at all."""
        return self.tenant_id in (None, tenant_id) or Role.PLATFORM in self.roles


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something, as ledger and audit log record it. ``actor_type``: user, api_key, cli, break-glass."""

    sub: str
    actor_type: str
    request_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    reason: str | None = None
