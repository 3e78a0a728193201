"""Which revision ``known_good`` means: the latest one with that label that can be gone back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recsys.domain.document import Lint
from recsys.domain.errors import VersionNotFound
from recsys.domain.history import KNOWN_GOOD

if TYPE_CHECKING:
    from recsys.domain.document import DocumentRef
    from recsys.domain.history import LedgerEntry, Pointers
    from recsys.domain.ports import TenantTransaction


_LOOKED_AT: Final = 20
"""So many labelled revisions are as far back as anybody remembers; each costs a query under the tenant's lock."""


async def latest_known_good(transaction: TenantTransaction) -> list[LedgerEntry]:
    """The latest revisions labelled known good, newest first: twenty at most."""
    found: list[LedgerEntry] = []
    while len(found) < _LOOKED_AT:
        before = found[-1].revision if found else None
        entry = await transaction.ledger_labelled(transaction.locked.id, KNOWN_GOOD, before)
        if entry is None:
            break
        found.append(entry)
    return found


async def find_known_good(
    transaction: TenantTransaction, ref: DocumentRef | None = None
) -> tuple[Pointers, list[Lint]]:
    """The pointers at the latest revision labelled known good, and warnings about later ones that were passed over.

    Passed over is a revision whose version of ``ref`` (None: of any document) is under quarantine: whoever asks for
    what is known to be good wants a state that works, and nothing that was found to be bad since. When that leaves
    none, it is the latest after all, for the move there to be refused or overridden.

    Raises:
        VersionNotFound: no revision has the label.
    """
    tenant_id = transaction.locked.id
    latest = entry = await transaction.ledger_labelled(tenant_id, KNOWN_GOOD)
    if latest is None:
        raise VersionNotFound("No revision of this tenant is labelled known_good.")
    bad = [each for each in await transaction.quarantined(tenant_id) if ref is None or each.name == str(ref)]
    passed: list[str] = []
    while entry is not None:
        pointers = entry.pointers
        found = next((each for each in bad if pointers.lead_to(each)), None)
        if found is None:
            return pointers, _warning(passed)
        passed.append(f"Revision {entry.revision} is labelled {KNOWN_GOOD} but was passed over: the {found}")
        entry = await transaction.ledger_labelled(tenant_id, KNOWN_GOOD, entry.revision)
    return latest.pointers, []


def _warning(passed: list[str]) -> list[Lint]:
    if not passed:
        return []
    more = f" (and {len(passed) - 1} older ones)" if len(passed) > 1 else ""
    return [Lint(code="KNOWN_GOOD_PASSED_OVER", detail=passed[0] + more)]
