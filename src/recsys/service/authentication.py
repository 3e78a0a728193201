"""Who is asking: an API key looked up in memory, a developer's headers where they are allowed, or the CLI itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.domain.access import Actor, Permission, Principal, Role
from recsys.domain.api_key import hash_key
from recsys.domain.errors import (
    Fault,
    Forbidden,
    InvalidRequest,
    NotReady,
    TenantNotFound,
    Unauthenticated,
)
from recsys.service.reason import CHANGE_REASON, read_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.domain.tenant import Tenant
    from recsys.serving.replica import Replica

DEV_ROLES = "admin,platform"
MAX_USER_AGENT = 256


class Authenticator:
    """Finds the principal of a request in its headers.

    ``dev_headers`` trusts whoever sends ``X-Dev-User-Id``, for work on one's own machine only. ``fixed`` is the
    principal of every request: the in-process CLI, which has the database and so has no use for a key.
    """

    def __init__(self, replica: Replica, *, dev_headers: bool = False, fixed: Principal | None = None) -> None:
        self._replica = replica
        self._dev_headers = dev_headers
        self._fixed = fixed

    def principal(self, headers: Mapping[bytes, bytes]) -> Principal:
        """The principal of a request.

        Raises:
            Unauthenticated: no key, or one that is unknown or revoked.
            NotReady: keys cannot be judged before the first sync.
        """
        if self._fixed is not None:
            return self._fixed
        key = _presented_key(headers)
        if key is not None:
            return self._key_principal(key)
        if self._dev_headers and b"x-dev-user-id" in headers:
            return self._developer(headers)
        raise Unauthenticated

    def admit(self, headers: Mapping[bytes, bytes]) -> tuple[Principal, Tenant]:
        """Who asks to be served, and for which tenant. Raises as :meth:`principal` and :meth:`served_tenant` do.

        Raises:
            Forbidden: the role does not allow it, or the tenant is suspended.
        """
        directory, key = self._replica.directory, headers.get(b"x-api-key")
        if key is not None and self._fixed is None and b"x-org-id" not in headers:
            found = directory.admitted.get(key)
            if found is None:
                found = directory.admitted[key] = self._admit(headers)
            return found
        return self._admit(headers)

    def _admit(self, headers: Mapping[bytes, bytes]) -> tuple[Principal, Tenant]:
        principal = self.principal(headers)
        tenant = self.served_tenant(principal, headers)
        principal.require(Permission.SERVE, tenant.id)
        if tenant.status != "active":
            raise Forbidden("This tenant is suspended.", tenant_status=tenant.status)
        return principal, tenant

    def served_tenant(self, principal: Principal, headers: Mapping[bytes, bytes]) -> Tenant:
        """The tenant that a serving call is for: the key's own, or the one that ``X-Org-Id`` names.

        Raises:
            TenantNotFound: no such tenant.
            InvalidRequest: a principal of all tenants named none.
            Forbidden: platform keys do not serve.
        """
        named = headers.get(b"x-org-id")
        reference = named.decode("latin-1") if named and self._unbound(headers) else principal.tenant_id
        if reference is None:
            if self._unbound(headers):
                raise InvalidRequest(faults=[Fault("", "Say which tenant to serve: send X-Org-Id.")])
            raise Forbidden("A platform key belongs to no tenant and does not serve. Use a key of the tenant.")
        tenant = self._tenant(reference)
        if named and named.decode("latin-1") not in (tenant.id, tenant.external_id):
            # Answering with the key's tenant would make a wrong key look like the right answer.
            raise TenantNotFound
        return tenant

    def _unbound(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the caller may choose a tenant by header: keys may not, theirs is fixed."""
        return self._fixed is not None or _presented_key(headers) is None

    def _key_principal(self, key: str) -> Principal:
        found = self._replica.directory.key(hash_key(key))
        if found is None:
            if not self._replica.synced:
                raise NotReady
            raise Unauthenticated("This key is unknown or revoked.")
        return Principal(
            sub=f"key:{found.id}", actor_type="api_key", roles=frozenset((found.role,)), tenant_id=found.tenant_id
        )

    def _developer(self, headers: Mapping[bytes, bytes]) -> Principal:
        roles = _text(headers, b"x-dev-roles") or DEV_ROLES
        organisation = _text(headers, b"x-dev-org-id")
        return Principal(
            sub=_text(headers, b"x-dev-user-id") or "developer",
            actor_type="user",
            roles=frozenset(_role(name.strip()) for name in roles.split(",") if name.strip()),
            tenant_id=self._tenant(organisation).id if organisation else None,
        )

    def _tenant(self, reference: str) -> Tenant:
        tenant = self._replica.directory.tenant(reference)
        if tenant is None:
            if not self._replica.synced:
                raise NotReady
            raise TenantNotFound
        return tenant


def actor_of(
    principal: Principal, headers: Mapping[bytes, bytes], *, request_id: str | None, client_ip: str | None
) -> Actor:
    """Who ledger and audit log will name for a change.

    Raises:
        InvalidRequest: a reason that is too long or has control characters.
    """
    agent = _text(headers, b"user-agent")
    return Actor(
        sub=principal.sub,
        actor_type=principal.actor_type,
        request_id=request_id,
        ip=client_ip,
        user_agent=agent[:MAX_USER_AGENT] if agent else None,
        reason=read_reason(headers, CHANGE_REASON) or None,
    )


def _presented_key(headers: Mapping[bytes, bytes]) -> str | None:
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.decode("latin-1")
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("utf-8", "replace").strip() or None if value is not None else None


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise InvalidRequest(faults=[Fault("", f"X-Dev-Roles: there is no role {name[:40]!r}.")]) from None
