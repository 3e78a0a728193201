"""One document of a tenant as commands see it: its path, what is current, and versions by their beginning."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from recsys.cli.failure import Misused, Refused

if TYPE_CHECKING:
    from recsys.cli.connection import Api
    from recsys.domain.document import DocumentKind

_PAGE = 200
_BEGINNING = re.compile(r"[0-9a-f]{4,63}")


def tenant_path(tenant: str) -> str:
    """Where everything of a tenant is."""
    return f"/v1/admin/tenants/{quote(tenant, safe='')}"


@dataclass(frozen=True)
class Document:
    """Names one document: a kind, a tenant and, for kinds kept per surface, the surface."""

    kind: DocumentKind
    tenant: str
    surface: str = ""

    @property
    def path(self) -> str:
        """Where the document is."""
        name = f"manifests/{quote(self.surface, safe='')}" if self.kind.per_surface else self.kind.name
        return f"{tenant_path(self.tenant)}/{name}"

    def __str__(self) -> str:
        return f"{self.kind.name} {self.surface}".strip()

    @property
    def options(self) -> str:
        """The options that name it in a command, ready to be copied."""
        surface = f" -s {shlex.quote(self.surface)}" if self.kind.per_surface else ""
        return f"-t {shlex.quote(self.tenant)}{surface}"

    def current(self, api: Api) -> dict[str, Any] | None:
        """The answer of ``GET``; None when the tenant has no such document."""
        try:
            answer: dict[str, Any] = api.get(self.path).json()
        except Refused as refused:
            if refused.code == self.kind.not_found.code:
                return None
            raise
        return answer

    def version_in(self, answer: dict[str, Any] | None) -> str | None:
        """The version that an answer names."""
        return answer[self.kind.version_field] if answer else None

    def whole_version(self, api: Api, text: str) -> str:
        """The version that begins with ``text``, as tables show it; anything else is left to the service to judge.

        Raises:
            Misused: no version begins so, or more than one.
        """
        if not _BEGINNING.fullmatch(text):
            return text
        found = [version for version in self._all_versions(api) if version.startswith(text)]
        if len(found) != 1:
            begin = f"{len(found)} versions of {self} begin" if found else f"No version of {self} begins"
            raise Misused(
                f"{begin} with {text}.",
                *(found or [f"See what there is: recsys {self.kind.name} versions {self.options}"]),
            )
        return found[0]

    def _all_versions(self, api: Api) -> list[str]:
        found: list[str] = []
        before: str | None = None
        while True:
            page = api.get(f"{self.path}/versions", limit=_PAGE, before=before).json()
            found += [each["version"] for each in page["versions"]]
            before = page["next_before"]
            if before is None:
                return found
