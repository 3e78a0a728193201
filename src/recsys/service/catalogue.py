"""Bulk loads over HTTP: the body is spooled as it arrives, then checked whole before a row is written."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, BinaryIO, cast

import msgspec
from litestar import Controller, put
from litestar.params import FromPath, QueryParameter

from recsys.control.load_rows import Load, load_rows
from recsys.control.row_file import LoadFormat
from recsys.domain.access import Permission
from recsys.domain.catalogue import Covisit, Dataset, Item, LoadMode, Popularity
from recsys.domain.errors import NotFound, PayloadTooLarge, UnsupportedMediaType
from recsys.domain.tenant import Tenant
from recsys.service.call import IN_TENANT, AnyRequest, Call, Given, SurfaceName, check_surface
from recsys.service.content_type import media_type

FORMATS: dict[str, LoadFormat] = {
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}
SIGNALS: dict[str, Dataset] = {"popularity": "popularity", "cooc": "cooc"}

Mode = Annotated[LoadMode, QueryParameter(name="mode", description="`replace` puts these rows in the place of all.")]

AllowEmpty = Annotated[
    bool, QueryParameter(name="allow_empty", description="With `mode=replace`: a body without rows removes all rows.")
]


class LoadAnswer(msgspec.Struct, kw_only=True):
    """What was loaded, and the data revision that serves it."""

    dataset: Dataset
    surface: str
    mode: LoadMode
    rows: int
    data_revision: int


class LoadsController(Controller):
    """Bulk loads."""

    path = "/v1/admin/tenants/{tenant_id:str}"
    dependencies = IN_TENANT
    tags = ("Data",)

    @put("/items", permission=Permission.CHANGE, request_max_body_size=None, load=(Item,), summary="Load items")
    async def items(
        self,
        request: AnyRequest,
        call: Given[Call],
        tenant: Given[Tenant],
        surface: SurfaceName,
        mode: Mode = "upsert",
        *,
        allow_empty: AllowEmpty = False,
    ) -> LoadAnswer:
        """Load items, as NDJSON or CSV: all rows, or none when one of them is wrong."""
        return await _load(request, call, tenant, Load(surface, "items", _format(request), mode, allow_empty))

    @put(
        "/signals/{signal:str}", permission=Permission.CHANGE, request_max_body_size=None, load=(Popularity, Covisit),
        summary="Load popularity or co-visitation",
    )  # fmt: skip
    async def signals(
        self,
        request: AnyRequest,
        call: Given[Call],
        tenant: Given[Tenant],
        signal: FromPath[str],
        surface: SurfaceName,
        mode: Mode = "upsert",
        *,
        allow_empty: AllowEmpty = False,
    ) -> LoadAnswer:
        """Load daily popularity or co-visitation, as NDJSON or CSV: all rows, or none when one of them is wrong."""
        if signal not in SIGNALS:
            raise NotFound(f"There is no signal {signal[:40]!r} to load; there are {', '.join(SIGNALS)}.")
        return await _load(request, call, tenant, Load(surface, SIGNALS[signal], _format(request), mode, allow_empty))


async def _load(request: AnyRequest, call: Call, tenant: Tenant, load: Load) -> LoadAnswer:
    service = call.service
    check_surface(load.surface)
    tenant.check_not_frozen()  # before a gigabyte is sent; the commit judges it again
    with SpooledTemporaryFile(max_size=service.limits.spool_bytes) as spool:
        await _spool(request, spool, service.limits.load_bytes)
        async with service.loading:
            outcome = await load_rows(
                service.store, service.clock, call.actor, tenant.id, load, cast("BinaryIO", spool)
            )
    await service.replica.catch_up(tenant.id)
    return msgspec.convert(outcome, LoadAnswer, from_attributes=True)


def _format(request: AnyRequest) -> LoadFormat:
    said = media_type(dict(request.scope["headers"]))
    if said not in FORMATS:
        raise UnsupportedMediaType(f"Send rows as {' or '.join(FORMATS)}, not {(said or 'an unnamed type')[:100]!r}.")
    return FORMATS[said]


async def _spool(request: AnyRequest, spool: IO[bytes], limit: int) -> None:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"A load has at most {limit} bytes; split it.")
        spool.write(chunk)
    spool.seek(0)
