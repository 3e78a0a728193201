"""From the artifacts of a manifest to the signals of a surface: arrays in, arrays out, no object per item.

It takes the extra ``artifacts``, so only who serves from artifacts imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.ranking.arrays import Csr, NeighbourLists
from recsys.ranking.history import History, UserLists
from recsys.ranking.ids import index_ids, unpack
from recsys.ranking.session_index import build_session_index
from recsys.ranking.signals import NEVER, ItemFacts, PopularityRows, SurfaceSignals, describe_items, index_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from recsys.artifacts import catalogue, history, neighbours, popularity, sessions, user_lists
    from recsys.artifacts.codec import Artifact
    from recsys.artifacts.texts import Texts
    from recsys.domain.catalogue import Item, SurfaceRows
    from recsys.domain.manifest import ArtifactKind
    from recsys.ranking.arrays import Indices, Values
    from recsys.ranking.ids import Ids
    from recsys.ranking.session_index import SessionIndex

Artifacts: TypeAlias = "Mapping[ArtifactKind, Artifact]"


def build_from_artifacts(surface: str, artifacts: Artifacts, rows: SurfaceRows | None) -> SurfaceSignals:
    """The signals of a surface; a kind that is not there is a signal without data.

    The universe is every item that any kind names. ``rows``: the tables' items, which describe them where there is no
    ``catalog``; nothing else of them counts. Popularity is taken as it is, as that of one day: the decay is in it, and
    a half-life changes nothing.
    """
    universe = Universe(artifacts, rows.items if rows is not None else ())
    facts = _facts(universe, artifacts, rows)
    return SurfaceSignals(
        surface=surface,
        data_revision=rows.data_revision if rows is not None else 0,
        ids=universe.ids(),
        tag_index={tag: at for at, tag in enumerate(facts.tags)},
        popularity=_popularity(universe, artifacts),
        cooc=_lists(universe, artifacts, "cooc") or universe.no_lists(),
        emb=_lists(universe, artifacts, "embedding"),
        content=_lists(universe, artifacts, "content_sim"),
        session=_lists(universe, artifacts, "session_seq"),
        sessions=_sessions(universe, artifacts),
        collab=_collab(universe, artifacts),
        history=_history(universe, artifacts),
        **facts._asdict(),
    )


class Universe:
    """Every item of a surface once, in code point order, and the place of each kind's items among them."""

    def __init__(self, artifacts: Artifacts, described: Sequence[Item]) -> None:
        named: list[Any] = [artifact.items.to_arrow() for artifact in artifacts.values()]
        self.described: Any = pa.array([item.item_id for item in described], pa.string())
        known = pc.unique(pa.chunked_array([*named, self.described], pa.string()))
        self._ids = known.take(pc.sort_indices(known))

    def __len__(self) -> int:
        return len(self._ids)

    def places(self, ids: Any) -> Indices:
        """The index of each of some known ids (an Arrow string array), in their order (int32)."""
        found: Indices = pc.index_in(ids, value_set=self._ids).to_numpy(zero_copy_only=False)
        return found.astype(np.int32, copy=False)

    def of(self, texts: Texts) -> Indices:
        """The index of each of a kind's items; ascending, since both are in order."""
        return self.places(texts.to_arrow())

    def ids(self) -> Ids:
        """All of them as ranking has them."""
        _, offsets, utf8 = self._ids.buffers()
        if not len(self):
            return index_ids(np.empty(0, np.uint8), np.zeros(1, np.int64))
        starts = np.frombuffer(offsets, np.int32, len(self) + 1).astype(np.int64)
        return index_ids(np.frombuffer(utf8, np.uint8, int(starts[-1])), starts)

    def no_lists(self) -> NeighbourLists:
        """An empty list for every item."""
        return NeighbourLists(np.zeros(len(self) + 1, np.int64), np.empty(0, np.int32), np.empty(0))

    def spread(self, own: Indices, starts: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Where the list of each item begins (int64[N + 1]), when only those at ``own`` (ascending) have one."""
        lengths = np.zeros(len(self), np.int64)
        lengths[own] = np.diff(starts)
        spread = np.zeros(len(self) + 1, np.int64)
        np.cumsum(lengths, out=spread[1:])
        return spread


def _lists(universe: Universe, artifacts: Artifacts, kind: ArtifactKind) -> NeighbourLists | None:
    """A kind's lists, each at its item's index."""
    if kind not in artifacts:
        return None
    found = cast("neighbours.Neighbours", artifacts[kind])
    own = universe.of(found.items)
    return NeighbourLists(universe.spread(own, found.starts), own[found.entries], found.scores)


def _popularity(universe: Universe, artifacts: Artifacts) -> PopularityRows:
    if "popularity" not in artifacts:
        return PopularityRows(np.empty(0, np.int32), np.empty(0), np.empty(0))
    found = cast("popularity.Popularity", artifacts["popularity"])
    return PopularityRows(universe.of(found.items), np.zeros(len(found.items)), found.scores)


def _collab(universe: Universe, artifacts: Artifacts) -> UserLists | None:
    if "implicit" not in artifacts:
        return None
    found = cast("user_lists.UserLists", artifacts["implicit"])
    items = universe.of(found.items)[found.entries]
    return UserLists(_subjects(found.users), NeighbourLists(found.starts.astype(np.int64), items, found.scores))


def _sessions(universe: Universe, artifacts: Artifacts) -> SessionIndex | None:
    if "session_knn" not in artifacts:
        return None
    found = cast("sessions.Sessions", artifacts["session_knn"])
    return build_session_index(found.starts, universe.of(found.items)[found.entries], len(universe))


def _history(universe: Universe, artifacts: Artifacts) -> History | None:
    if "history" not in artifacts:
        return None
    found = cast("history.History", artifacts["history"])
    return History(
        subjects=_subjects(found.users),
        starts=found.starts.astype(np.int64),
        items=universe.of(found.items)[found.entries],
        kinds=found.kinds,
        times=found.times,
        kind_names=tuple(found.event_types.to_list()),
    )


def _subjects(users: Texts) -> Ids:
    return index_ids(users.utf8, users.starts.astype(np.int64))


def _facts(universe: Universe, artifacts: Artifacts, rows: SurfaceRows | None) -> ItemFacts:
    if "catalog" not in artifacts:
        items = rows.items if rows is not None else []
        return describe_items(items, universe.places(universe.described), len(universe))
    found = cast("catalogue.Catalogue", artifacts["catalog"])
    own, count = universe.of(found.items), len(universe)
    tags = tuple(unpack(found.tags.utf8, found.tags.starts.astype(np.int64)))
    owners = np.repeat(own.astype(np.int64), np.diff(found.tag_starts))
    return ItemFacts(
        prices=_spread(np.full(count, np.nan), own, found.prices),
        created_at=_spread(np.full(count, NEVER, np.int64), own, found.created_at),
        tags=tags,
        item_tags=Csr(universe.spread(own, found.tag_starts), found.tag_entries),
        tag_items=index_tags(owners, found.tag_entries.astype(np.int64), count, len(tags)),
    )


def _spread(known: Any, own: Indices, values: Values | npt.NDArray[np.int64]) -> Any:
    known[own] = values
    return known
