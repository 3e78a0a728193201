"""Whether a manifest can be served: every artifact that it names is there, whole, and in a format that is known."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from recsys.domain.artifact import Address, address_of
from recsys.domain.canonical import parse
from recsys.domain.document import MANIFEST
from recsys.domain.errors import ArtifactIncompatible, Fault, InvalidRequest, NotFound, NotReady
from recsys.domain.manifest import read_manifest
from recsys.serving.background import aside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from recsys.domain.canonical import Json
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import BlobStore, Move

_log = logging.getLogger(__name__)

STORE_ANSWER_S: Final = 2.0
"""How long the store may take to answer while a tenant is locked, and others wait to change it."""


async def check_manifest(blobs: BlobStore, tenant_id: str, surface: str, value: Json) -> None:
    """Refuse a manifest that names an artifact which is missing or cannot be read.

    What is no manifest is for others to judge. Reading takes long, so no lock is held meanwhile:
    :func:`require_artifacts` has the last word.

    Raises:
        ArtifactIncompatible: naming every kind at fault.
        NotReady: the artifact store cannot be reached.
    """
    # One after the other: each may be large.
    _refuse(
        [
            await _fault(tenant_id, surface, kind, uri, partial(_check_content, blobs))
            for kind, uri in _named(value).items()
        ]
    )


async def require_artifacts(blobs: BlobStore | None, tenant_id: str, moves: Iterable[Move]) -> None:
    """Refuse to move to a manifest of which an artifact is missing. A store that does not answer keeps nobody from it.

    To be asked while the tenant is locked: then no collection removes anything between this look and the move. All is
    asked at once, and waited for two seconds at most.

    Raises:
        ArtifactIncompatible: naming every kind that is missing.
    """
    if blobs is None:
        return
    questions = []
    for move in moves:
        if move.ref.kind is MANIFEST and move.after is not None:
            for kind, uri in (await aside(len(text := move.after.text), _named_in, text)).items():
                questions.append(_fault(tenant_id, move.ref.surface, kind, uri, partial(_require, blobs)))
    _refuse(await asyncio.gather(*questions))


def _named(value: Json) -> Mapping[ArtifactKind, str]:
    """The URIs in a manifest; none for what is no manifest."""
    try:
        return read_manifest(value).current
    except InvalidRequest:
        return {}


def _named_in(text: str) -> Mapping[ArtifactKind, str]:
    try:
        return _named(parse(text.encode()))
    except InvalidRequest:  # written by hand, and not as a document is
        return {}


async def _fault(
    tenant_id: str, surface: str, kind: ArtifactKind, uri: str, check: Callable[[Address], Awaitable[None]]
) -> Fault | None:
    try:
        await check(address_of(tenant_id, surface, kind, uri))
    except ArtifactIncompatible as refusal:
        return Fault(f"/current/{kind}", refusal.detail)
    return None


def _refuse(found: Iterable[Fault | None]) -> None:
    if faults := [fault for fault in found if fault is not None]:
        raise ArtifactIncompatible(faults=faults)


async def _check_content(blobs: BlobStore, address: Address) -> None:
    try:
        content = await blobs.get(address.blob)
    except NotFound as missing:
        raise ArtifactIncompatible(missing.detail) from None
    await asyncio.to_thread(_decode, address, content)


def _decode(address: Address, content: memoryview) -> None:
    try:
        from recsys.artifacts.codec import decode  # noqa: PLC0415 - an extra: who does without it serves from tables
    except ModuleNotFoundError:
        return
    decode(address.kind, content)


async def _require(blobs: BlobStore, address: Address) -> None:
    try:
        async with asyncio.timeout(STORE_ANSWER_S):
            if await blobs.find(address.blob) is None:
                raise ArtifactIncompatible(f"The artifact store has no {address.blob}.")
    except (NotReady, TimeoutError) as error:
        # At 3 a.m. it may be the store that is down, and replicas may well have what they need.
        said = error.detail if isinstance(error, NotReady) else "no answer"
        _log.warning("the manifest changes without knowing whether %s is there: %s", address.blob, said)
