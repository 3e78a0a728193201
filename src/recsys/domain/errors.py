"""Everything that can go wrong in a way a caller should see: one class per happening, each with a stable code."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from recsys.domain.quarantine import QuarantinedVersion


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with an input: where (an RFC 6901 pointer), what, and what was probably meant."""

    pointer: str
    detail: str
    did_you_mean: str | None = None
    line: int | None = None


class RecsysError(Exception):
    """The service could not do what was asked.

    The first paragraph of a subclass's docstring is its default message. ``extra`` holds further members of the
    problem document that a client may act on.
    """

    code: ClassVar[str] = "RECSYS_INTERNAL"

    def __init__(self, detail: str | None = None, **extra: object) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n\n")[0].strip()
        self.extra = extra
        super().__init__(self.detail)


class InvalidRequest(RecsysError):
    """The request is not well-formed: unreadable, ill-typed or out of range."""

    code = "RECSYS_INVALID_REQUEST"

    def __init__(self, detail: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail or _summary(faults), **({"errors": list(faults)} if faults else {}))
        self.faults = tuple(faults)


class Unprocessable(InvalidRequest):
    """The request is well-formed but wrong in meaning."""

    code = "RECSYS_UNPROCESSABLE_ENTITY"


class ArtifactIncompatible(Unprocessable):
    """An artifact is missing, or is not what it should be."""

    code = "RECSYS_ARTIFACT_INCOMPATIBLE"


class ExplainTooLarge(RecsysError):
    """Full explanations are given for at most 50 items; ask for a smaller k or explain=summary."""

    code = "RECSYS_EXPLAIN_TOO_LARGE"


class Unauthenticated(RecsysError):
    """Send a valid key as X-API-Key or Authorization: Bearer."""

    code = "RECSYS_UNAUTHENTICATED"


class Forbidden(RecsysError):
    """Your role does not allow this."""

    code = "RECSYS_FORBIDDEN"


class TenantNotFound(RecsysError):
    """There is no such tenant, or you have no access to it."""

    code = "RECSYS_TENANT_NOT_FOUND"


class NotFound(RecsysError):
    """There is nothing here."""

    code = "RECSYS_NOT_FOUND"


class MethodNotAllowed(RecsysError):
    """This path does not take that method."""

    code = "RECSYS_METHOD_NOT_ALLOWED"


class ConfigNotFound(NotFound):
    """The tenant has no config; serving uses the defaults."""

    code = "RECSYS_CONFIG_NOT_FOUND"


class RulesNotFound(NotFound):
    """The tenant has no rules."""

    code = "RECSYS_RULES_NOT_FOUND"


class ManifestNotFound(NotFound):
    """The tenant has no manifest for this surface."""

    code = "RECSYS_MANIFEST_NOT_FOUND"


class VersionNotFound(NotFound):
    """The tenant has no such version or revision."""

    code = "RECSYS_VERSION_NOT_FOUND"


class VersionMismatch(RecsysError):
    """Somebody was faster: the current version is not the one you started from. Read it again and repeat."""

    code = "RECSYS_VERSION_MISMATCH"

    def __init__(
        self,
        *,
        current_version: str | None,
        current_revision: int | None,
        updated_by: str | None,
        updated_at: datetime | None,
        differs: Sequence[str] = (),
        detail: str | None = None,
    ) -> None:
        super().__init__(
            detail,
            current_version=current_version,
            current_revision=current_revision,
            updated_by=updated_by,
            updated_at=updated_at,
            differs=list(differs),
        )


class PreconditionFailed(RecsysError):
    """If-None-Match: * asks for a first version, but there is a current one."""

    code = "RECSYS_PRECONDITION_FAILED"


class PreconditionRequired(RecsysError):
    """Say which version you started from: send If-Match or If-Revision."""

    code = "RECSYS_PRECONDITION_REQUIRED"


class Frozen(RecsysError):
    """The tenant is frozen: changes and loads are refused, rollbacks are still allowed."""

    code = "RECSYS_FROZEN"


class VersionQuarantined(RecsysError):
    """A version that is to become current is under quarantine.

    ``versions``: those that stand in the way, at least one.
    """

    code = "RECSYS_VERSION_QUARANTINED"

    def __init__(self, versions: Sequence[QuarantinedVersion]) -> None:
        more = f" (and {len(versions) - 1} more, see quarantined)" if len(versions) > 1 else ""
        what_to_do = (
            "Go to another version; or, if it is good after all, lift the quarantine with DELETE "
            "…/versions/{version}/quarantine; or apply it as it is with X-Override-Quarantine: <reason>."
        )
        super().__init__(f"The {versions[0]}{more}. {what_to_do}", quarantined=list(versions))
        self.versions = tuple(versions)


class PayloadTooLarge(RecsysError):
    """The body is larger than this endpoint takes."""

    code = "RECSYS_PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RecsysError):
    """Send the body with a Content-Type that this endpoint takes."""

    code = "RECSYS_UNSUPPORTED_MEDIA_TYPE"


class NotReady(RecsysError):
    """The service cannot reach its database, or has not loaded this tenant yet. Serving goes on with what it has."""

    code = "RECSYS_NOT_READY"


class ArtifactStoreNotReady(NotReady):
    """The artifact store cannot be used."""


class Overloaded(RecsysError):
    """Others hold what this waits for: a queue of writers, or one transaction that was left open; try again."""

    code = "RECSYS_OVERLOADED"


def _summary(faults: Sequence[Fault]) -> str | None:
    """The first fault as a sentence, with the number of the others; None (the class's message) without faults."""
    if not faults:
        return None
    first = faults[0]
    where = f"line {first.line}" if first.line is not None else ""
    where = " ".join(part for part in (where, first.pointer) if part)
    text = f"{where}: {first.detail}" if where else first.detail
    if first.did_you_mean:
        text += f" Did you mean {first.did_you_mean!r}?"
    return text if len(faults) == 1 else f"{text} (and {len(faults) - 1} more, see errors)"
