"""What compiled ranking works on: a table of candidates, a surface, the bounds of a request; arrays by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.ranking.arrays import NO_INDICES, Indices, Values
from recsys.ranking.compiler import Addresses, Packed, pack
from recsys.ranking.signals import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Grid = npt.NDArray[np.float64]

SIGNALS: Final = ("cooc", "emb", "collab", "content", "session")
"""The rows of ``Table.raw``."""

MOST_CHOSEN: Final = 256
CHOSEN_WORDS: Final = MOST_CHOSEN // 64
_BUCKETS: Final = 256  # as many as the kernel sorts scores into
_TALLIES: Final = 32
NO_CAP: Final = 2**31 - 1


class Table(NamedTuple):
    """Working memory for one request at a time, over at most N items and V tags. Entry e is about ``items[e]``.

    ``entry_of``: item → its entry, and anything below N where it has none. Per entry: ``origin`` (which sources named
    it, as bits), ``verdict``, ``found`` (which signals found it, as bits), ``raw`` [5, N], ``own`` (the baseline,
    normalised), ``boost`` (NaN: blocked), ``scores`` [3, N].
    For choosing: ``open`` (the entries to choose from that are listed now), ``bucket_of`` each, and themselves
    ``ranked`` by it; ``heap``, ``gains``, ``compared`` (with how many of the chosen); ``limits``: the score below which
    entries are not listed at first, and the relevance above which all are in the heap; ``chosen``, the answer, whose
    items and scores are ``answer`` and ``answer_scores``; ``tags_of``: how many tags each of these has; ``tag_chosen``
    uint64[V · words]: which of them carry a tag, as bits. ``tally``: the numbers that one request comes to.
    The arrays over V are as made between requests.
    """

    entry_of: Indices
    items: Indices
    origin: Bytes
    verdict: Bytes
    found: Bytes
    raw: Grid
    scores: Grid
    own: Values
    boost: Values
    open: Indices
    bucket_of: Indices
    ranked: Indices
    heap: Indices
    gains: Values
    compared: Indices
    chosen: Indices
    tags_of: Indices
    limits: Values
    buckets: Longs
    tally: Longs
    tag_role: Bytes
    tag_limit: Indices
    tag_count: Indices
    tag_chosen: npt.NDArray[np.uint64]
    tag_share: Values
    answer: Indices
    answer_scores: Values


class Surface(NamedTuple):
    """What signals and documents fix for one segment and stretch of time; nothing of the request.

    ``worth`` float64[N, 2]: an item's popularity, normalised, and the sum of its boosts, NaN where it is blocked; side
    by side, since a request asks for both of thousands of items. ``boost_order``: items that gain, best first.
    ``pins``: one rule after the other, rule r from ``pin_starts[r]`` on, at most ``pin_most[r]`` of which count.
    ``tag_caps`` int32[V], or empty when the config caps nothing.
    """

    prices: Values
    created_at: Longs
    tag_starts: Longs
    tags: Indices
    worth: Grid
    boost_order: Indices
    pins: Indices
    pin_starts: Longs
    pin_most: Longs
    tag_caps: Indices


class Offer(NamedTuple):
    """A table that is filled with what is offered to everybody, to begin others with: its parts that are in use."""

    items: Indices
    origin: Bytes
    verdict: Bytes
    tally: Longs


class Bounds(NamedTuple):
    """The constraints of a request: tags that must and must not be there, and those of which ``caps`` may be answered.

    ``prices``: least and most, NaN where unbounded. ``numbers``: how many tags are required (more than ``required``
    has, where no item carries one of them), created after (``NEVER``: whenever), 1 if there is a constraint on items.
    """

    required: Indices
    forbidden: Indices
    capped: Indices
    caps: Indices
    prices: Values
    numbers: Longs


class Wish(NamedTuple):
    """The numbers of a request.

    ``baseline``: −1 popularity, else a row of ``Table.raw``; ``uplift``, ``certainty``: boost and c of personalisation.
    """

    k: int
    max_pins: int
    fanout: int
    baseline: int
    alpha: float
    beta: float
    gamma: float
    mmr_lambda: float
    uplift: float
    certainty: float
    top_tags: int


class Workspace:
    """A table, and how compiled code finds it."""

    def __init__(self, item_count: int, tag_count: int) -> None:
        self.table = _make_table(item_count, tag_count)
        self.addresses: Addresses = pack(self.table, "iiBBBddddiiiidiiidllBiiLdid").addresses


class Workspaces:
    """Workspaces that are not in use, by size. Taking and giving back are atomic, so threads may rank side by side."""

    def __init__(self) -> None:
        self._free: dict[tuple[int, int], list[Workspace]] = {}

    def take(self, item_count: int, tag_count: int) -> tuple[Workspace, Callable[[Workspace], None]]:
        """A workspace for at least so many items and tags, and where to give it back."""
        size = (item_count.bit_length(), tag_count.bit_length())
        free = self._free.get(size)
        if free is None:
            free = self._free.setdefault(size, [])
        try:
            return free.pop(), free.append
        except IndexError:
            return Workspace(1 << size[0], 1 << size[1]), free.append


WORKSPACES: Final = Workspaces()
"""Those of this process. What was in one never shows: a request begins with an empty table."""


def pack_surface(surface: Surface) -> Packed:
    """A surface as compiled code takes it."""
    return pack(surface, "dllidiilli")


def pack_bounds(bounds: Bounds) -> Packed:
    """Bounds as compiled code takes them."""
    return pack(bounds, "iiiidl")


NO_BOUNDS: Final = pack_bounds(
    Bounds(NO_INDICES, NO_INDICES, NO_INDICES, NO_INDICES, np.full(2, np.nan), np.array([0, NEVER, 0]))
)


def pack_offer(offer: Offer) -> Packed:
    """An offer as compiled code takes it."""
    return pack(offer, "iBBl")


EMPTY_OFFER: Final = pack_offer(
    Offer(
        items=np.empty(0, np.int32),
        origin=np.empty(0, np.uint8),
        verdict=np.empty(0, np.uint8),
        tally=np.zeros(_TALLIES, np.int64),
    )
)
"""Nothing: a table begins empty."""


def _make_table(items: int, tags: int) -> Table:
    """Pages of it that are never touched cost nothing."""
    return Table(
        entry_of=np.zeros(items, np.int32),  # whatever is read there is an entry, or compiled code would read beside it
        items=np.empty(items, np.int32),
        origin=np.empty(items, np.uint8),
        verdict=np.empty(items, np.uint8),
        found=np.empty(items, np.uint8),
        raw=np.empty((len(SIGNALS), items)),
        scores=np.empty((3, items)),
        own=np.empty(items),
        boost=np.empty(items),
        open=np.empty(items + 1, np.int32),
        bucket_of=np.empty(items, np.int32),
        ranked=np.empty(items, np.int32),
        heap=np.empty(items, np.int32),
        gains=np.empty(items),
        compared=np.empty(items, np.int32),
        chosen=np.empty(MOST_CHOSEN, np.int32),
        tags_of=np.zeros(MOST_CHOSEN, np.int32),
        limits=np.empty(2),
        buckets=np.zeros(_BUCKETS, np.int64),
        tally=np.zeros(_TALLIES, np.int64),
        tag_role=np.zeros(tags, np.uint8),
        tag_limit=np.full(tags, NO_CAP, np.int32),
        tag_count=np.zeros(tags, np.int32),
        tag_chosen=np.zeros(tags * CHOSEN_WORDS, np.uint64),
        tag_share=np.zeros(tags),
        answer=np.empty(MOST_CHOSEN, np.int32),
        answer_scores=np.empty(MOST_CHOSEN),
    )
