"""Moving pointers: the one way that every use case takes, so that none of them gets around a quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.domain.audit import AuditRecord
from recsys.domain.document import Version
from recsys.domain.errors import VersionQuarantined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.domain.ports import Move, TenantTransaction
    from recsys.domain.quarantine import QuarantinedVersion


async def move_documents(
    transaction: TenantTransaction, moves: Sequence[Move], *, action: str, verb: str, override: str | None = None
) -> None:
    """Make all moves at one new revision, with an audit entry ``<kind>.<verb>`` for each.

    ``override``: why a version under quarantine may become current all the same; it goes into the audit entry of each
    such move, and the quarantine stays.

    Raises:
        VersionQuarantined: a move leads to a version under quarantine, and there is no ``override``.
    """
    bad = [quarantined for move in moves if (quarantined := _quarantined(move)) is not None]
    if bad and override is None:
        raise VersionQuarantined(bad)
    await transaction.move(moves, action=action, records=[_record(move, verb, override) for move in moves])


def _quarantined(move: Move) -> QuarantinedVersion | None:
    """What a move leads to, if that is under quarantine: read under the tenant's lock, as all of a move is."""
    if not isinstance(move.after, Version) or move.after.quarantined is None:
        return None
    return move.ref.quarantined(move.after.etag, move.after.quarantined)


def _record(move: Move, verb: str, override: str | None) -> AuditRecord:
    """The audit record of one pointer move: the states are the documents themselves, ready to be PUT back."""
    extra: dict[str, object] = {
        "before_version": move.before.etag if move.before else None,
        "after_version": move.after.etag if move.after else None,
    }
    if _quarantined(move) is not None:
        extra["quarantine_override"] = override
    return AuditRecord(
        action=f"{move.ref.kind_name}.{verb}",
        entity_type=move.ref.kind_name,
        entity_id=move.ref.surface or move.ref.kind_name,
        before_state=move.before.text if move.before else None,
        after_state=move.after.text if move.after else None,
        extra=extra,
    )
