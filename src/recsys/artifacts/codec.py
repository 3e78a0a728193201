"""Artifacts as bytes: one table of kinds, and the two ways between a table in long form and a file.

A file is an Arrow IPC file with one uncompressed record batch, no nulls, and a fixed schema whose metadata names the
kind and the version of its format. The same facts give the same bytes, whatever the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa
from pyarrow import ipc

from recsys.artifacts import catalogue, history, neighbours, popularity, sessions, user_lists
from recsys.artifacts.long_form import LongForm
from recsys.domain.errors import ArtifactIncompatible

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.domain.manifest import ArtifactKind

Artifact: TypeAlias = (
    popularity.Popularity
    | neighbours.Neighbours
    | user_lists.UserLists
    | history.History
    | sessions.Sessions
    | catalogue.Catalogue
)

KIND_KEY: Final = b"recsys.kind"
VERSION_KEY: Final = b"recsys.version"


@dataclass(frozen=True)
class Format:
    """What a kind looks like as a table (``long``) and in a file (``packed``), and the ways between.

    ``version`` is raised when ``packed`` changes, or what it means.
    """

    version: int
    long: Any
    packed: Any
    pack: Callable[[LongForm], list[Any]]
    read: Callable[[Any], Artifact]


_NEIGHBOURS: Final = Format(1, neighbours.LONG, neighbours.PACKED, neighbours.pack, neighbours.read)

FORMATS: Final[dict[ArtifactKind, Format]] = {
    "popularity": Format(1, popularity.LONG, popularity.PACKED, popularity.pack, popularity.read),
    "cooc": _NEIGHBOURS,
    "implicit": Format(1, user_lists.LONG, user_lists.PACKED, user_lists.pack, user_lists.read),
    "content_sim": _NEIGHBOURS,
    "session_seq": _NEIGHBOURS,
    "session_knn": Format(1, sessions.LONG, sessions.PACKED, sessions.pack, sessions.read),
    "history": Format(1, history.LONG, history.PACKED, history.pack, history.read),
    "embedding": _NEIGHBOURS,
    "catalog": Format(1, catalogue.LONG, catalogue.PACKED, catalogue.pack, catalogue.read),
}


def encode(kind: ArtifactKind, table: Any, *, max_bytes: int | None = None) -> bytes:
    """The file of a table in long form (``FORMATS[kind].long``), whose rows may stand in any order.

    Columns may have narrower or wider types, as long as nothing is lost. No rows make an empty artifact.

    Raises:
        ArtifactIncompatible: naming the kind, the column and the row that is wrong, or the size that is too large.
    """
    format_ = FORMATS[kind]
    try:
        columns = format_.pack(LongForm(table, format_.long))
        batch = pa.RecordBatch.from_arrays(columns, schema=_schema(kind))
    except ArtifactIncompatible as refusal:
        raise ArtifactIncompatible(f"{kind}: {refusal.detail}") from None
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, batch.schema) as file:
        file.write_batch(batch)
    content = sink.getvalue()
    _check_size(kind, content.size, max_bytes)
    written: bytes = content.to_pybytes()
    return written


def decode(kind: ArtifactKind, buffer: Any, *, max_bytes: int | None = None) -> Artifact:
    """The artifact in a file: arrays over the pages of ``buffer`` (anything with the buffer protocol), none copied.

    Everything is checked before it is given out, so whoever has it may index with what it holds. That is not the
    place to notice a changed bit: the hash that names the file is.

    Raises:
        ArtifactIncompatible: naming the kind, and what is wrong.
    """
    pages = pa.py_buffer(buffer)
    _check_size(kind, pages.size, max_bytes)
    try:
        return FORMATS[kind].read(_batch(kind, pages))
    except ArtifactIncompatible as refusal:
        raise ArtifactIncompatible(f"{kind}: {refusal.detail}") from None
    # What pyarrow raises depends on where a file is broken.
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError) as error:
        raise ArtifactIncompatible(f"{kind}: The file cannot be read: {error}.") from error


def _schema(kind: ArtifactKind) -> Any:
    format_ = FORMATS[kind]
    return format_.packed.with_metadata({KIND_KEY: kind.encode(), VERSION_KEY: str(format_.version).encode()})


def _batch(kind: ArtifactKind, pages: Any) -> Any:
    """The one record batch of a file, structurally sound and lying in ``pages`` as it is."""
    reader = ipc.open_file(pages)
    _check_schema(kind, reader.schema)
    if reader.num_record_batches != 1:
        raise ArtifactIncompatible(f"The file has {reader.num_record_batches} record batches; it must have one.")
    batch = reader.get_batch(0)
    batch.validate(full=True)
    for array in batch.columns:
        _check_array(array, pages)
    return batch


def _check_schema(kind: ArtifactKind, schema: Any) -> None:
    expected = _schema(kind)
    said = schema.metadata or {}
    if said.get(KIND_KEY) != kind.encode():
        found = said.get(KIND_KEY, b"nothing").decode(errors="replace")
        raise ArtifactIncompatible(f"The file says that it holds {found}.")
    if said.get(VERSION_KEY) != expected.metadata[VERSION_KEY]:
        found = said.get(VERSION_KEY, b"none").decode(errors="replace")
        known = expected.metadata[VERSION_KEY].decode()
        raise ArtifactIncompatible(f"The file has version {found} of the format; this release reads {known}.")
    if not schema.equals(expected):
        raise ArtifactIncompatible(f"The file has other columns than its format: {schema.remove_metadata()}.")


def _check_array(array: Any, pages: Any) -> None:
    """Insist that nothing is null, and that no buffer was made for it: it was compressed, or of another byte order."""
    if array.null_count or array.offset:
        raise ArtifactIncompatible("The file has nulls.")
    for buffer in array.buffers():
        if buffer is not None and buffer.size:
            begin = buffer.address - pages.address
            if not 0 <= begin <= begin + buffer.size <= pages.size:
                raise ArtifactIncompatible("The file is compressed; it must not be.")
    if pa.types.is_list(array.type):
        _check_array(array.values, pages)
    elif pa.types.is_dictionary(array.type):
        _check_array(array.indices, pages)
        _check_array(array.dictionary, pages)


def _check_size(kind: ArtifactKind, size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise ArtifactIncompatible(f"{kind}: The file has {size} bytes; at most {max_bytes} are taken.")
