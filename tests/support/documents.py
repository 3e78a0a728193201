"""Documents and changes that several tests make."""

import json

from recsys.control.change_document import change_document
from recsys.control.outcome import DocumentOutcome
from recsys.domain.access import Actor
from recsys.domain.document import DocumentRef
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import Tenant
from recsys.storage.control_store import SqlControlStore

CONFIG = DocumentRef("config")
RULES = DocumentRef("rules")
HOME = DocumentRef("manifest", "home")
ANYTHING = Preconditions()


def config(pop: float) -> bytes:
    return json.dumps({"weights": {"pop": pop}}).encode()


def manifest(popularity: str, surface: str = "home", tenant: str = "demo") -> bytes:
    return json.dumps({"v": 1, "tenant": tenant, "surface": surface, "current": {"popularity": popularity}}).encode()


async def put(
    store: SqlControlStore,
    actor: Actor,
    tenant: Tenant,
    data: bytes,
    *,
    ref: DocumentRef = CONFIG,
    preconditions: Preconditions = ANYTHING,
) -> DocumentOutcome:
    return await change_document(store, actor, tenant.id, ref, data, preconditions)


def version_of(outcome: DocumentOutcome) -> str:
    assert outcome.pointer is not None
    return outcome.pointer.version.etag
