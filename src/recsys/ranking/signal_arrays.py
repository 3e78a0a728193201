"""The signals of a surface as named arrays and back, so that they can be kept in a file and mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import Csr, NeighbourLists
from recsys.ranking.history import History, UserLists
from recsys.ranking.ids import Ids, pack, unpack
from recsys.ranking.session_index import SessionIndex
from recsys.ranking.signals import PopularityRows, SurfaceSignals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Arrays: TypeAlias = "Mapping[str, npt.NDArray[Any]]"

LAYOUT: Final = 2
"""Which arrays there are and what they mean. Raise it with every change of this module or of what it takes apart."""

_PER_ITEM: Final = ("emb", "content", "session")


def to_arrays(signals: SurfaceSignals) -> dict[str, npt.NDArray[Any]]:
    """Every array of the signals by name, none of them copied; the same signals give the same arrays."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "data_revision": np.array([signals.data_revision], np.int64),
        "prices": signals.prices,
        "created_at": signals.created_at,
        "popularity.items": signals.popularity.items,
        "popularity.ages": signals.popularity.ages,
        "popularity.scores": signals.popularity.scores,
        **_texts("surface", [signals.surface]),
        **_texts("tags", signals.tags),
        **_ids("ids", signals.ids),
        **_csr("item_tags", signals.item_tags),
        **_csr("tag_items", signals.tag_items),
        **_lists("cooc", signals.cooc),
    }
    for name in _PER_ITEM:
        if (lists := getattr(signals, name)) is not None:
            arrays |= _lists(name, lists)
    if signals.collab is not None:
        arrays |= _ids("collab.subjects", signals.collab.subjects) | _lists("collab", signals.collab.lists)
    if signals.sessions is not None:
        arrays |= _csr("sessions.postings", signals.sessions.postings) | _lists("sessions", signals.sessions.items)
    if signals.history is not None:
        arrays |= _history(signals.history)
    return arrays


def from_arrays(arrays: Arrays) -> SurfaceSignals:
    """The signals whose arrays these are; the arrays are used as they are, so they may be mapped pages.

    Raises:
        KeyError: an array is missing.
    """
    tags = tuple(_read_texts(arrays, "tags"))
    return SurfaceSignals(
        surface=_read_texts(arrays, "surface")[0],
        data_revision=int(arrays["data_revision"][0]),
        ids=_read_ids(arrays, "ids"),
        prices=arrays["prices"],
        created_at=arrays["created_at"],
        tags=tags,
        tag_index={tag: at for at, tag in enumerate(tags)},
        item_tags=Csr(arrays["item_tags.starts"], arrays["item_tags.columns"]),
        tag_items=Csr(arrays["tag_items.starts"], arrays["tag_items.columns"]),
        popularity=PopularityRows(arrays["popularity.items"], arrays["popularity.ages"], arrays["popularity.scores"]),
        cooc=_read_lists(arrays, "cooc"),
        collab=_read_collab(arrays) if "collab.starts" in arrays else None,
        sessions=_read_sessions(arrays) if "sessions.starts" in arrays else None,
        history=_read_history(arrays) if "history.starts" in arrays else None,
        **{name: _read_lists(arrays, name) for name in _PER_ITEM if f"{name}.starts" in arrays},
    )


def _texts(name: str, texts: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    utf8, starts = pack(texts)
    return {f"{name}.utf8": utf8, f"{name}.starts": starts}


def _read_texts(arrays: Arrays, name: str) -> list[str]:
    return unpack(arrays[f"{name}.utf8"], arrays[f"{name}.starts"])


def _ids(name: str, ids: Ids) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}.utf8": ids.utf8, f"{name}.starts": ids.starts, f"{name}.slots": ids.slots}


def _read_ids(arrays: Arrays, name: str) -> Ids:
    return Ids(arrays[f"{name}.utf8"], arrays[f"{name}.starts"], arrays[f"{name}.slots"])


def _csr(name: str, csr: Csr) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}.starts": csr.starts, f"{name}.columns": csr.columns}


def _lists(name: str, lists: NeighbourLists) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}.starts": lists.starts, f"{name}.items": lists.items, f"{name}.values": lists.values}


def _read_lists(arrays: Arrays, name: str) -> NeighbourLists:
    return NeighbourLists(arrays[f"{name}.starts"], arrays[f"{name}.items"], arrays[f"{name}.values"])


def _read_collab(arrays: Arrays) -> UserLists:
    return UserLists(_read_ids(arrays, "collab.subjects"), _read_lists(arrays, "collab"))


def _read_sessions(arrays: Arrays) -> SessionIndex:
    postings = Csr(arrays["sessions.postings.starts"], arrays["sessions.postings.columns"])
    return SessionIndex(postings, _read_lists(arrays, "sessions"))


def _history(history: History) -> dict[str, npt.NDArray[Any]]:
    return {
        "history.starts": history.starts,
        "history.items": history.items,
        "history.kinds": history.kinds,
        "history.times": history.times,
        **_ids("history.subjects", history.subjects),
        **_texts("history.kind_names", history.kind_names),
    }


def _read_history(arrays: Arrays) -> History:
    return History(
        subjects=_read_ids(arrays, "history.subjects"),
        starts=arrays["history.starts"],
        items=arrays["history.items"],
        kinds=arrays["history.kinds"],
        times=arrays["history.times"],
        kind_names=tuple(_read_texts(arrays, "history.kind_names")),
    )
