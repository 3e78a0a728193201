"""Who exists: tenants and API keys, looked up on every request, swapped as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recsys.domain.access import Principal
    from recsys.domain.api_key import ApiKey
    from recsys.domain.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Directory:
    """Tenants by id and external id, and keys that are not revoked by their hash.

    ``admitted``: whom authentication has let in by it, so that it judges a key once for as long as this is current.
    """

    by_id: Mapping[str, Tenant] = field(default_factory=dict)
    by_external_id: Mapping[str, Tenant] = field(default_factory=dict)
    keys: Mapping[str, ApiKey] = field(default_factory=dict)
    admitted: dict[bytes, tuple[Principal, Tenant]] = field(default_factory=dict)

    @classmethod
    def of(cls, tenants: Iterable[Tenant], keys: Iterable[ApiKey]) -> Directory:
        """Index tenants and keys."""
        by_id = {tenant.id: tenant for tenant in tenants}
        by_external_id = {tenant.external_id: tenant for tenant in by_id.values()}
        return cls(by_id, by_external_id, {key.key_hash: key for key in keys if key.revoked_at is None})

    def tenant(self, reference: str) -> Tenant | None:
        """A tenant by UUID (in either case) or external id."""
        return self.by_id.get(reference) or self.by_external_id.get(reference) or self.by_id.get(reference.lower())

    def key(self, key_hash: str) -> ApiKey | None:
        """The key with this hash."""
        return self.keys.get(key_hash)
