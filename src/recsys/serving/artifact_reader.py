"""Getting the artifacts that a manifest names, decoded and checked, from the artifact store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.domain.artifact import address_of
from recsys.domain.errors import ArtifactIncompatible, NotFound, NotReady

if TYPE_CHECKING:
    from recsys.artifacts.codec import Artifact
    from recsys.domain.artifact import Address
    from recsys.domain.manifest import ArtifactKind
    from recsys.domain.ports import BlobStore
    from recsys.serving.background import Background
    from recsys.serving.signal_source import SignalSource


class ManifestRefused(Exception):
    """An artifact of a manifest cannot be served, so nothing of the manifest is.

    ``kind``, ``uri`` and ``reason``: which one, and why. ``final``: unless somebody mends it, it stays so until the
    manifest changes.
    """

    def __init__(self, kind: str, uri: str, reason: str, *, final: bool) -> None:
        self.final = final
        super().__init__(f"{kind} {uri}: {reason}")


class ArtifactReader:
    """Reads artifacts through the store, which hashes each of them before the first process of a run believes it."""

    def __init__(self, blobs: BlobStore | None, background: Background) -> None:
        self._blobs = blobs
        self._background = background

    async def read(self, tenant_id: str, surface: str, source: SignalSource) -> dict[ArtifactKind, Artifact]:
        """Every artifact that the source's manifest, of this tenant and surface, names.

        Raises:
            ManifestRefused: the first that is missing, damaged, foreign or of another format.
            NotReady: the store cannot be reached.
        """
        named = source.manifest.current if source.manifest is not None else {}
        found = {}
        for kind, uri in named.items():
            try:
                address = address_of(tenant_id, surface, kind, uri)
                found[kind] = await self._read(address, anew=source.read_again > 0)
            except NotFound as missing:  # somebody may put it back
                raise ManifestRefused(kind, uri, missing.detail, final=False) from None
            except ArtifactIncompatible as refusal:
                raise ManifestRefused(kind, uri, refusal.detail, final=True) from None
        return found

    async def _read(self, address: Address, *, anew: bool) -> Artifact:
        if self._blobs is None:
            raise NotReady("There is no artifact store.")
        if anew:
            await self._blobs.forget(address.blob)
        content = await self._blobs.get(address.blob)
        return await self._background.run(_decode, address, content)


def _decode(address: Address, content: memoryview) -> Artifact:
    try:
        from recsys.artifacts.codec import decode  # noqa: PLC0415 - an extra: who does without it serves from tables
    except ModuleNotFoundError as missing:
        detail = f"{missing.name} is missing; install what it takes: pip install 'recsys[artifacts]'"
        raise ArtifactIncompatible(detail) from None
    return decode(address.kind, content)
