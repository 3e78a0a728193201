"""Reading the current documents of tenants, many in one statement: when they change at once, replicas read them so."""

from __future__ import annotations

import asyncio
from functools import cache
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import JSON, and_, any_, bindparam, func, literal, or_, select, union_all
from sqlalchemy.dialects import postgresql

from recsys.domain.document import KINDS, DocumentRef
from recsys.domain.errors import NotReady, TenantNotFound
from recsys.domain.history import Pointers
from recsys.domain.ports import TenantDocuments
from recsys.storage.schema import DOCUMENTS, invalidations, tenants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Row, ScalarSelect, Select

    from recsys.storage.engine import Database

Asked: TypeAlias = "Mapping[str, asyncio.Future[TenantDocuments]]"
"""Whoever waits for the documents of a tenant, by its id."""

_AT_ONCE: Final = 16
"""Tenants in one statement, at most: a document may be large, and nobody should wait for those of all."""
_REST_S: Final = 0.01
"""Between two statements: who asks alone is answered at once, and those who ask all the time are answered together."""
_PATIENCE_S: Final = 10.0
"""Everybody waits for a statement, so one whose connection has died unnoticed must not last as long as TCP does."""


class DocumentsReader:
    """Reads documents by one statement at a time; who asks while it runs is answered by the next one, together.

    So what is answered was read after the question, and a thousand changes take a few connections' time, not all.

    Whoever took part in a statement that failed is read alone, at once and from then on until that goes well: rows of
    one tenant that cannot be read must not keep the others waiting for theirs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: dict[str, asyncio.Future[TenantDocuments]] = {}
        self._suspects: set[str] = set()
        self._reading: asyncio.Task[None] | None = None

    async def read(self, tenant_id: str) -> TenantDocuments:
        """The current documents, all of one moment. Raises TenantNotFound, NotReady."""
        answer = self._asked.get(tenant_id)
        if answer is None:
            self._asked[tenant_id] = answer = asyncio.get_running_loop().create_future()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_asked(), name="documents")
        return await asyncio.shield(answer)  # who gives up does not take it from others

    async def _read_asked(self) -> None:
        while self._asked:
            await self._answer({tenant_id: self._asked.pop(tenant_id) for tenant_id in self._next()})
            await asyncio.sleep(_REST_S)

    async def _answer(self, asked: Asked) -> None:
        try:
            found = await self._find(list(asked))
        except NotReady as error:  # most likely of the database, so no reason to ask for each
            self._suspects |= asked.keys()
            _refuse(asked, error)
        except Exception as error:  # noqa: BLE001 - given to whoever it concerns
            self._suspects |= asked.keys()
            if len(asked) == 1:
                _refuse(asked, error)
                return
            for tenant_id, answer in asked.items():
                await self._answer({tenant_id: answer})
        else:
            self._suspects -= asked.keys()
            for tenant_id, answer in asked.items():
                if tenant_id in found:
                    answer.set_result(found[tenant_id])
                else:
                    _refuse({tenant_id: answer}, TenantNotFound())
        finally:
            for answer in asked.values():
                answer.cancel()  # if this task is ended, nobody waits for ever; who was answered does not notice

    def _next(self) -> list[str]:
        """Whom to read by the next statement: who asked first, and others with it unless it is to be read alone."""
        first = next(iter(self._asked))
        if first in self._suspects:
            return [first]
        return list(islice((each for each in self._asked if each not in self._suspects), _AT_ONCE))

    async def _find(self, tenant_ids: list[str]) -> dict[str, TenantDocuments]:
        query = _query(is_postgresql=self._database.is_postgresql)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                rows = await self._database.look(query, {"tenants": tenant_ids})
        except TimeoutError as error:
            raise NotReady(f"Documents could not be read within {_PATIENCE_S:.0f} s.") from error
        return {
            tenant_id: _together(tenant_id, list(mine)) for tenant_id, mine in groupby(rows, lambda row: str(row.id))
        }


def _refuse(asked: Asked, error: Exception) -> None:
    for answer in asked.values():
        answer.set_exception(error)
        answer.exception()  # seen: whoever asked may have given up


def _together(tenant_id: str, found: Sequence[Row[Any]]) -> TenantDocuments:
    """The documents of a tenant, of which each row has one, or its only row none."""
    current = [(DocumentRef(row.kind, row.surface), row) for row in found if row.kind is not None]
    etags = {ref: row.etag for ref, row in current}
    pointers = Pointers(
        config=etags.get(DocumentRef("config")),
        rules=etags.get(DocumentRef("rules")),
        manifests={ref.surface: etag for ref, etag in etags.items() if ref.kind.per_surface},
    )
    manifests = {ref.surface: row for ref, row in current if ref.kind.per_surface}
    return TenantDocuments(
        tenant_id=tenant_id,
        revision=found[0].revision,
        pointers=pointers,
        texts={ref: row.text for ref, row in current},
        manifests_moved_at={surface: row.moved_at for surface, row in manifests.items()},
        read_again={surface: row.read_again for surface, row in manifests.items() if row.read_again},
    )


@cache
def _query(*, is_postgresql: bool) -> Select[Any]:
    """A row for each current document of each tenant, or one without a document: one statement, so one moment.

    Made once, and the same text for any number of tenants, so that each connection plans it once.
    """
    each = []
    for name, tables in DOCUMENTS.items():
        versions, current = tables.versions, tables.current
        surface = current.c.surface if KINDS[name].per_surface else literal("")
        again = _read_again(current.c.tenant_id, surface) if KINDS[name].per_surface else literal(0)
        here = and_(current.c.tenant_id == versions.c.tenant_id, tables.version_id == versions.c.id)
        columns = [literal(name).label("kind"), surface.label("surface"), versions.c.etag, tables.body.label("text")]
        columns += [current.c.updated_at.label("moved_at"), again.label("read_again")]
        mine = _is_asked(current.c.tenant_id, is_postgresql=is_postgresql)
        each.append(select(current.c.tenant_id, *columns).join(current, here).where(mine))
    found = union_all(*each).subquery("found")
    of_tenant = tenants.outerjoin(found, found.c.tenant_id == tenants.c.id)
    return (
        select(tenants.c.id, tenants.c.revision, *(column for column in found.c if column.name != "tenant_id"))
        .select_from(of_tenant)
        .where(_is_asked(tenants.c.id, is_postgresql=is_postgresql))
        .order_by(tenants.c.id)
    )


def _is_asked(tenant_id: ColumnElement[str], *, is_postgresql: bool) -> ColumnElement[bool]:
    """Whether it is one of the parameter ``tenants``: an array, or where there are none, a JSON text."""
    if is_postgresql:
        return tenant_id == any_(bindparam("tenants", type_=postgresql.ARRAY(tenants.c.id.type)))
    found = func.json_each(bindparam("tenants", type_=JSON)).table_valued("value")
    return tenant_id.in_(select(found.c.value))


def _read_again(tenant: ColumnElement[str], surface: ColumnElement[str]) -> ScalarSelect[int | None]:
    """The number of the last request to read the artifacts of a surface again."""
    asked = invalidations.c
    concerns = (asked.targets.contains('"popularity"'), or_(asked.surface.is_(None), asked.surface == surface))
    return select(func.max(asked.number)).where(asked.tenant_id == tenant, *concerns).scalar_subquery()
