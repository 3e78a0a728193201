"""The compiled heart of ranking: a table of candidates is filled, judged, scored and chosen from.

Arithmetic stands in the order that the contract gives it and every loop runs in a fixed order, so that an answer does
not depend on the machine. See :mod:`recsys.ranking.compiler` for why all of it is one file, and
:mod:`recsys.ranking.table` for what it works on.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.ranking.arrays import Indices, Values
from recsys.ranking.compiler import Addresses, compiled_raw, float64s, inlined_raw, int32s, int64s, pointer, uint8s
from recsys.ranking.table import Bounds, Surface, Table, Wish

COOC, EMB, COLLAB, CONTENT, SESSION = range(5)  # rows of Table.raw
POPULARITY: Final = -1  # as Wish.baseline

# Table.verdict: what an item is marked as before anybody looks at it (below ELIGIBLE), and what was found then
NEW, MARKED_EXCLUDED, MARKED_ANCHOR, ELIGIBLE, EXCLUDED, ANCHOR, BLOCKED, CONSTRAINED = range(8)

# Table.origin; pins alone are no candidates, but are scored and answered like them
POPULAR, NEIGHBOUR, BOOSTED, INCLUDED, PINNED = 1, 2, 4, 8, 16
DRAWN = POPULAR | NEIGHBOUR | BOOSTED | INCLUDED

BLENDED, PERSONALISED, FINAL = range(3)  # rows of Table.scores

# Table.tally; VERDICTS + verdict: how many items got it
(
    COUNT, SLOTS, WALKED, BOOSTS_WALKED, POPULAR_COUNT, BOOSTED_COUNT, NEIGHBOUR_COUNT, INCLUDED_COUNT, PIN_COUNT,
    CHOSEN, OPEN, NODES, FANOUT, BASELINE, SEMANTIC, VERDICTS,
) = range(16)  # fmt: skip

_FIRST_SLOTS: Final = 8_192
_NO_CAP: Final = np.int32(2**31 - 1)
_NEVER: Final = np.int64(-(2**63))
_REQUIRED, _FORBIDDEN = 1, 2
_SPREAD: Final = np.uint64(11_400_714_819_323_198_485)  # 2⁶⁴ / golden ratio: Fibonacci hashing
_HALF: Final = np.uint64(32)
_WIDEN: Final = 4


# --- arrays by address ------------------------------------------------------------------------------------------------


@inlined_raw
def _table(at: Addresses) -> Table:
    size = at[3]
    return Table(
        int32s(pointer(at[0]), at[1]),
        int32s(pointer(at[2]), at[3]),
        uint8s(pointer(at[4]), at[5]),
        uint8s(pointer(at[6]), at[7]),
        uint8s(pointer(at[8]), at[9]),
        float64s(pointer(at[10]), (5, size)),
        float64s(pointer(at[12]), (3, size)),
        int32s(pointer(at[14]), at[15]),
        int32s(pointer(at[16]), at[17]),
        int32s(pointer(at[18]), at[19]),
        float64s(pointer(at[20]), at[21]),
        int32s(pointer(at[22]), at[23]),
        int32s(pointer(at[24]), at[25]),
        int32s(pointer(at[26]), at[27]),
        int32s(pointer(at[28]), at[29]),
        int32s(pointer(at[30]), at[31]),
        int64s(pointer(at[32]), at[33]),
        int64s(pointer(at[34]), at[35]),
        uint8s(pointer(at[36]), at[37]),
        int32s(pointer(at[38]), at[39]),
        int32s(pointer(at[40]), at[41]),
        int32s(pointer(at[42]), at[43]),
        float64s(pointer(at[44]), at[45]),
    )


@inlined_raw
def _surface(at: Addresses) -> Surface:
    return Surface(
        float64s(pointer(at[0]), at[1]),
        int64s(pointer(at[2]), at[3]),
        int64s(pointer(at[4]), at[5]),
        int32s(pointer(at[6]), at[7]),
        float64s(pointer(at[8]), at[9]),
        int32s(pointer(at[10]), at[11]),
        float64s(pointer(at[12]), at[13]),
        int32s(pointer(at[14]), at[15]),
        int32s(pointer(at[16]), at[17]),
        int64s(pointer(at[18]), at[19]),
        int64s(pointer(at[20]), at[21]),
        int32s(pointer(at[22]), at[23]),
    )


@inlined_raw
def _bounds(at: Addresses) -> Bounds:
    return Bounds(
        int32s(pointer(at[0]), at[1]),
        int32s(pointer(at[2]), at[3]),
        int32s(pointer(at[4]), at[5]),
        int32s(pointer(at[6]), at[7]),
        float64s(pointer(at[8]), at[9]),
        int64s(pointer(at[10]), at[11]),
    )


# --- the table --------------------------------------------------------------------------------------------------------


@compiled_raw
def begin(at: Addresses, anchors: Indices, excluded: Indices, semantic: bool) -> None:
    """Empty the table and mark what must not be answered: ``excluded`` wins over ``anchors``.

    ``semantic``: there are other signals than co-visitation, so that there is a γ term.
    """
    table = _table(at)
    table.tally[:] = 0
    table.tally[SEMANTIC] = semantic
    table.tally[SLOTS] = _FIRST_SLOTS
    table.slots[:_FIRST_SLOTS] = -1  # no more of them are in use before the table grows
    for item in anchors:
        table.verdict[_place(table, item)] = MARKED_ANCHOR
    for item in excluded:
        table.verdict[_place(table, item)] = MARKED_EXCLUDED


@inlined_raw
def _slot(table: Table, item: int) -> int:
    """Where the item's entry is noted, or the empty slot where it would be."""
    mask = table.tally[SLOTS] - 1
    at = np.int64((np.uint64(item) * _SPREAD) >> _HALF) & mask
    while table.slots[at] >= 0 and table.items[table.slots[at]] != item:
        at = (at + 1) & mask
    return at


@inlined_raw
def _place(table: Table, item: int) -> int:
    """The entry of an item, made when there is none."""
    at = _slot(table, item)
    entry = np.int64(table.slots[at])
    if entry >= 0:
        return entry
    entry = table.tally[COUNT]
    if 2 * entry >= table.tally[SLOTS]:
        _grow(table)
        at = _slot(table, item)
    table.slots[at] = entry
    table.items[entry] = item
    table.origin[entry] = 0
    table.verdict[entry] = NEW
    table.found[entry] = 0
    table.raw[COOC, entry] = 0.0
    if table.tally[SEMANTIC]:
        table.raw[EMB, entry] = 0.0
        table.raw[COLLAB, entry] = 0.0
        table.raw[CONTENT, entry] = 0.0
        table.raw[SESSION, entry] = 0.0
    table.tally[COUNT] = entry + 1
    return entry


@inlined_raw
def _grow(table: Table) -> None:
    table.tally[SLOTS] *= 2
    table.slots[: table.tally[SLOTS]] = -1
    for entry in range(table.tally[COUNT]):
        table.slots[_slot(table, table.items[entry])] = entry


# --- what signals find ------------------------------------------------------------------------------------------------


@compiled_raw
def add_rows(at: Addresses, signal: int, lists: Addresses, rows: Indices, weights: Values) -> None:
    """Add weight · value of every entry of ``rows`` of a signal's lists, row by row in the order given."""
    table = _table(at)
    starts = int64s(pointer(lists[0]), lists[1])
    items = int32s(pointer(lists[2]), lists[3])
    values = float64s(pointer(lists[4]), lists[5])
    bit = np.uint8(1 << signal)
    for number in range(rows.size):
        weight = weights[number]
        for place in range(starts[rows[number]], starts[rows[number] + 1]):
            entry = _place(table, items[place])
            table.raw[signal, entry] += values[place] * weight
            table.found[entry] |= bit


@compiled_raw
def add_scores(table_at: Addresses, signal: int, items: Indices, values: Values) -> None:
    """Add scores that a signal found by other means."""
    table = _table(table_at)
    bit = np.uint8(1 << signal)
    for at in range(items.size):
        entry = _place(table, items[at])
        table.raw[signal, entry] += values[at]
        table.found[entry] |= bit


# --- filters ----------------------------------------------------------------------------------------------------------


@inlined_raw
def _judge(table: Table, surface: Surface, bounds: Bounds, entry: int) -> bool:
    """Whether an item may be answered; the first look at it is counted by its verdict."""
    verdict = table.verdict[entry]
    if verdict >= ELIGIBLE:
        return verdict == ELIGIBLE
    item = table.items[entry]
    if verdict == MARKED_EXCLUDED:
        verdict = EXCLUDED
    elif verdict == MARKED_ANCHOR:
        verdict = ANCHOR
    elif surface.effect[item] < 0:
        verdict = BLOCKED
    elif bounds.numbers[2] and not _satisfies(table, surface, bounds, item):
        verdict = CONSTRAINED
    else:
        verdict = ELIGIBLE
    table.verdict[entry] = verdict
    table.tally[VERDICTS + verdict] += 1
    return verdict == ELIGIBLE


@inlined_raw
def _satisfies(table: Table, surface: Surface, bounds: Bounds, item: int) -> bool:
    """Whether an item satisfies the constraints. An unknown price or date satisfies no bound."""
    low, high, created_after = bounds.prices[0], bounds.prices[1], bounds.numbers[1]
    # NaN compares false: an absent bound is the one that does not equal itself.
    if low == low and not surface.prices[item] >= low:  # noqa: PLR0124
        return False
    if high == high and not surface.prices[item] <= high:  # noqa: PLR0124
        return False
    if created_after != _NEVER and surface.created_at[item] <= created_after:
        return False
    missing = bounds.numbers[0]
    for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
        role = table.tag_role[surface.tags[at]]
        if role == _FORBIDDEN:
            return False
        if role == _REQUIRED:
            missing -= 1
    return missing <= 0


@inlined_raw
def _set_bounds(table: Table, bounds: Bounds) -> None:
    for tag in bounds.required:
        table.tag_role[tag] = _REQUIRED
    for tag in bounds.forbidden:
        table.tag_role[tag] = _FORBIDDEN
    for at in range(bounds.capped.size):
        table.tag_limit[bounds.capped[at]] = bounds.caps[at]


@inlined_raw
def _unset_bounds(table: Table, bounds: Bounds) -> None:
    for tag in bounds.required:
        table.tag_role[tag] = 0
    for tag in bounds.forbidden:
        table.tag_role[tag] = 0
    for tag in bounds.capped:
        table.tag_limit[tag] = _NO_CAP


# --- candidates -------------------------------------------------------------------------------------------------------


@inlined_raw
def _draw_found(table: Table, surface: Surface, bounds: Bounds) -> None:
    """Everything that signals found and the filters let pass."""
    for entry in range(table.tally[COUNT]):
        if table.found[entry] and _judge(table, surface, bounds, entry):
            table.origin[entry] |= NEIGHBOUR
            table.tally[NEIGHBOUR_COUNT] += 1


@inlined_raw
def _draw_included(table: Table, surface: Surface, bounds: Bounds, included: Indices) -> None:
    for item in included:
        entry = _place(table, item)
        if not table.origin[entry] and _judge(table, surface, bounds, entry):
            table.origin[entry] = INCLUDED
            table.tally[INCLUDED_COUNT] += 1


@inlined_raw
def _draw_ordered(
    table: Table, surface: Surface, bounds: Bounds, order: Indices, walked: int, counted: int, origin: int, most: int
) -> None:
    """Walk on in ``order`` until ``most`` eligible items are drawn: the work grows with what is filtered."""
    at, found = table.tally[walked], table.tally[counted]
    while found < most and at < order.size:
        entry = _place(table, order[at])
        if _judge(table, surface, bounds, entry):
            table.origin[entry] |= origin
            found += 1
        at += 1
    table.tally[walked], table.tally[counted] = at, found


@inlined_raw
def _choose_pins(table: Table, surface: Surface, bounds: Bounds, limit: int) -> None:
    """The pinned items in their order, into the front of ``chosen``."""
    pinned = 0
    for rule in range(surface.pin_most.size):
        room = min(limit - pinned, surface.pin_most[rule])
        at = surface.pin_starts[rule]
        while room > 0 and at < surface.pin_starts[rule + 1]:
            entry = _place(table, surface.pins[at])
            if not table.origin[entry] & PINNED and _judge(table, surface, bounds, entry):
                table.origin[entry] |= PINNED
                table.chosen[pinned] = entry
                pinned += 1
                room -= 1
            at += 1
    table.tally[PIN_COUNT] = pinned


# --- scores -----------------------------------------------------------------------------------------------------------


@inlined_raw
def _norm(score: float) -> float:
    """s/(s+1) for s > 0, else 0."""
    return score / (score + 1.0) if score > 0.0 else 0.0


@inlined_raw
def _semantic(table: Table, entry: int) -> float:
    """max(emb, norm(collab), norm(content), norm(session)), the first clipped to [0, 1]."""
    raw = table.raw
    best = min(max(raw[EMB, entry], 0.0), 1.0)
    best = max(best, _norm(raw[COLLAB, entry]))
    best = max(best, _norm(raw[CONTENT, entry]))
    return max(best, _norm(raw[SESSION, entry]))


@inlined_raw
def _baseline(table: Table, wanted: int) -> int:
    """The mode's own signal where it names a candidate, else popularity."""
    if wanted != POPULARITY:
        bit = np.uint8(1 << wanted)
        for entry in range(table.tally[COUNT]):
            if table.origin[entry] & DRAWN and table.found[entry] & bit:
                return wanted
    return POPULARITY


@inlined_raw
def _make_profile(table: Table, surface: Surface, anchors: Indices, top_tags: int) -> bool:
    """Put the shares of the anchors' most frequent tags into ``tag_share``; ties go to the lower tag."""
    for item in anchors:
        for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
            table.tag_count[surface.tags[at]] += 1
    total = 0
    for _ in range(top_tags):
        best, best_count = -1, 0
        for item in anchors:
            for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
                tag, count = surface.tags[at], table.tag_count[surface.tags[at]]
                if table.tag_share[tag] == 0.0 and (count > best_count or (count == best_count and tag < best)):
                    best, best_count = tag, count
        if best < 0:
            break
        table.tag_share[best] = best_count
        total += best_count
    for item in anchors:
        for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
            tag = surface.tags[at]
            if table.tag_count[tag]:
                table.tag_count[tag] = 0
                table.tag_share[tag] /= total
    return total > 0


@inlined_raw
def _forget_profile(table: Table, surface: Surface, anchors: Indices) -> None:
    for item in anchors:
        for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
            table.tag_share[surface.tags[at]] = 0.0


@inlined_raw
def _overlap(table: Table, surface: Surface, item: int) -> float:
    overlap = 0.0
    for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
        overlap += table.tag_share[surface.tags[at]]
    return overlap


@inlined_raw
def _score(table: Table, surface: Surface, wish: Wish, personal: bool) -> float:
    """Score every candidate and pin, and list those that are to be chosen from; the highest score among these."""
    baseline, scores = table.tally[BASELINE], table.scores
    open_, s_max = 0, 0.0
    for entry in range(table.tally[COUNT]):
        origin = table.origin[entry]
        if not origin:
            continue
        item = table.items[entry]
        raw = surface.popularity[item] if baseline == POPULARITY else table.raw[baseline, entry]
        score = wish.alpha * _norm(raw) + wish.beta * _norm(table.raw[COOC, entry])
        if table.tally[SEMANTIC]:
            score += wish.gamma * _semantic(table, entry)
        scores[BLENDED, entry] = score
        if personal:
            score *= 1.0 + wish.uplift * _overlap(table, surface, item) * wish.certainty
        scores[PERSONALISED, entry] = score
        effect = surface.effect[item]
        if effect > 0:
            boost = surface.boosts[effect]
            score = max(score + score * boost if score != 0.0 else boost, 0.0)
        scores[FINAL, entry] = score
        if not origin & PINNED:
            table.open[open_] = entry
            open_ += 1
            s_max = max(s_max, score)
    table.tally[OPEN] = open_
    return s_max


# --- the choice -------------------------------------------------------------------------------------------------------


@inlined_raw
def _before(table: Table, one: int, other: int) -> bool:
    """Whether an entry comes before another: higher gain, then higher score, then lower item."""
    if table.gains[one] != table.gains[other]:
        return table.gains[one] > table.gains[other]
    final = table.scores[FINAL]
    if final[one] != final[other]:
        return final[one] > final[other]
    return table.items[one] < table.items[other]


@inlined_raw
def _sift_down(table: Table, at: int, size: int) -> None:
    heap = table.heap
    entry = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(table, heap[child + 1], heap[child]):
            child += 1
        if not _before(table, heap[child], entry):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = entry


@inlined_raw
def _relevance(wish: Wish, score: float, s_max: float) -> float:
    if wish.mmr_lambda == 0.0:
        return score
    return wish.mmr_lambda * score / s_max if s_max > 0.0 else 0.0


@inlined_raw
def _sort_into_buckets(table: Table, s_max: float) -> None:
    """A bucket for each open entry, so that a higher score is never in a lower one; how many each holds."""
    scale = (table.buckets.size - 1) / s_max if s_max > 0.0 else 0.0
    table.buckets[:] = 0
    for at in range(table.tally[OPEN]):
        bucket = int(table.scores[FINAL, table.open[at]] * scale)
        table.bucket_of[at] = bucket
        table.buckets[bucket] += 1


@inlined_raw
def _enter(table: Table, wish: Wish, low: int, high: int, size: int, s_max: float) -> int:
    """Put the open entries of the buckets from ``low`` to below ``high`` on the heap; its new size."""
    for number in range(table.tally[OPEN]):
        if not low <= table.bucket_of[number] < high:
            continue
        entry = table.open[number]
        table.compared[entry] = 0
        table.gains[entry] = _relevance(wish, table.scores[FINAL, entry], s_max)
        at = size
        while at > 0 and _before(table, entry, table.heap[(at - 1) >> 1]):
            table.heap[at] = table.heap[(at - 1) >> 1]
            at = (at - 1) >> 1
        table.heap[at] = entry
        size += 1
    return size


@inlined_raw
def _take(table: Table, surface: Surface, entry: int, number: int) -> None:
    """Note under each tag of an item that it is the answer's item ``number``."""
    item, node = table.items[entry], table.tally[NODES]
    table.chosen[number] = entry
    for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
        tag = surface.tags[at]
        table.node_number[node] = number
        table.node_next[node] = table.tag_node[tag]
        table.tag_node[tag] = node
        table.tag_count[tag] += 1
        node += 1
    table.tally[NODES] = node


@inlined_raw
def _untake(table: Table, surface: Surface) -> None:
    for number in range(table.tally[CHOSEN]):
        item = table.items[table.chosen[number]]
        for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
            table.tag_count[surface.tags[at]] = 0
            table.tag_node[surface.tags[at]] = -1
    table.tally[NODES] = 0


@inlined_raw
def _fits(table: Table, surface: Surface, entry: int) -> bool:
    """Whether no cap on the item's tags is reached."""
    item = table.items[entry]
    for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
        tag = surface.tags[at]
        limit = table.tag_limit[tag]
        if surface.tag_caps.size:
            limit = min(limit, surface.tag_caps[tag])
        if table.tag_count[tag] >= limit:
            return False
    return True


@inlined_raw
def _likeness(table: Table, surface: Surface, item: int, since: int) -> float:
    """The largest Jaccard similarity of an item's tags to those of the answer's items from number ``since`` on."""
    begin, end = surface.tag_starts[item], surface.tag_starts[item + 1]
    likeness = 0.0
    for at in range(begin, end):
        node = table.tag_node[surface.tags[at]]
        while node >= 0 and table.node_number[node] >= since:
            table.shared[table.node_number[node]] += 1
            node = table.node_next[node]
    for at in range(begin, end):
        node = table.tag_node[surface.tags[at]]
        while node >= 0 and table.node_number[node] >= since:
            number = table.node_number[node]
            other = table.items[table.chosen[number]]
            shared = table.shared[number]
            either = (end - begin) + (surface.tag_starts[other + 1] - surface.tag_starts[other]) - shared
            likeness = max(likeness, shared / max(either, 1))
            table.shared[number] = 0
            node = table.node_next[node]
    return likeness


@inlined_raw
def _choose(table: Table, surface: Surface, wish: Wish, capped: bool, s_max: float) -> None:
    """Fill ``chosen`` to k: the best first, and lazily.

    An entry's gain is an upper bound until it is compared with all that are chosen, so whoever is at the top of the
    heap and up to date is the best of all. Buckets enter the heap only when those below could hold a better one.
    """
    _sort_into_buckets(table, s_max)
    diverse = wish.mmr_lambda > 0.0
    noting = capped or diverse
    pins = table.tally[PIN_COUNT]
    if noting:
        for number in range(pins):
            _take(table, surface, table.chosen[number], number)
    chosen, size, low, bound, most = pins, 0, table.buckets.size, np.inf, 4 * wish.k
    while chosen < wish.k:
        while low > 0 and (size == 0 or table.gains[table.heap[0]] < bound):
            high, coming = low, 0
            while low > 0 and coming < most:
                low -= 1
                coming += table.buckets[low]
            size = _enter(table, wish, low, high, size, s_max)
            # One bucket higher than the rest can be, since the bucket of a score is rounded.
            bound, most = _relevance(wish, (low + 1) * s_max / (table.buckets.size - 1), s_max), 4 * most
        if size == 0:
            break
        entry = table.heap[0]
        if diverse and table.compared[entry] < chosen:
            likeness = _likeness(table, surface, table.items[entry], table.compared[entry])
            gain = _relevance(wish, table.scores[FINAL, entry], s_max) - (1.0 - wish.mmr_lambda) * likeness
            table.gains[entry] = min(table.gains[entry], gain)
            table.compared[entry] = chosen
        else:
            if not capped or _fits(table, surface, entry):
                if noting:
                    _take(table, surface, entry, chosen)
                table.chosen[chosen] = entry
                chosen += 1
            size -= 1
            table.heap[0] = table.heap[size]
        _sift_down(table, 0, size)
    table.tally[CHOSEN] = chosen
    if noting:
        _untake(table, surface)


@inlined_raw
def _order_chosen(table: Table) -> None:
    """Order the chosen behind the pins by score, then item: diversity decides who is in, scores in which order."""
    final, chosen, pins = table.scores[FINAL], table.chosen, table.tally[PIN_COUNT]
    for end in range(pins + 1, table.tally[CHOSEN]):
        entry, at = chosen[end], end
        while at > pins and (
            final[entry] > final[chosen[at - 1]]
            or (final[entry] == final[chosen[at - 1]] and table.items[entry] < table.items[chosen[at - 1]])
        ):
            chosen[at] = chosen[at - 1]
            at -= 1
        chosen[at] = entry


@compiled_raw
def find_answer(
    table_at: Addresses,
    surface_at: Addresses,
    bounds_at: Addresses,
    order: Indices,
    anchors: Indices,
    included: Indices,
    only_included: bool,
    k: int,
    max_pins: int,
    fanout: int,
    baseline: int,
    alpha: float,
    beta: float,
    gamma: float,
    mmr_lambda: float,
    uplift: float,
    certainty: float,
    top_tags: int,
) -> None:
    """Draw, judge, score and choose; more candidates are drawn while the list is short and eligible items remain.

    Numbers come one by one: a tuple of them takes longer to hand over than the answer to find.
    ``order``: the items in order of popularity; ``anchors``: whose tags make the profile, empty when nothing is
    personalised; ``included``: the only candidates, when ``only_included``; the numbers are those of a ``Wish``. The
    answer is in ``chosen``.
    """
    table, surface, bounds = _table(table_at), _surface(surface_at), _bounds(bounds_at)
    wish = Wish(k, max_pins, fanout, baseline, alpha, beta, gamma, mmr_lambda, uplift, certainty, top_tags)
    _set_bounds(table, bounds)
    capped = bounds.capped.size > 0 or surface.tag_caps.size > 0
    personal = anchors.size > 0 and _make_profile(table, surface, anchors, wish.top_tags)
    if only_included:
        _draw_included(table, surface, bounds, included)
    else:
        _draw_found(table, surface, bounds)
    _choose_pins(table, surface, bounds, wish.max_pins)
    fanout = wish.fanout
    while True:
        if not only_included:
            _draw_ordered(table, surface, bounds, order, WALKED, POPULAR_COUNT, POPULAR, fanout)
            lifted = surface.boost_order
            _draw_ordered(table, surface, bounds, lifted, BOOSTS_WALKED, BOOSTED_COUNT, BOOSTED, fanout)
        table.tally[BASELINE] = _baseline(table, wish.baseline)
        s_max = _score(table, surface, wish, personal)
        _choose(table, surface, wish, capped, s_max)
        if table.tally[CHOSEN] >= wish.k or only_included or table.tally[WALKED] >= order.size:
            break
        fanout *= _WIDEN
    table.tally[FANOUT] = fanout
    _order_chosen(table)
    _forget_profile(table, surface, anchors)
    _unset_bounds(table, bounds)


@compiled_raw
def keep(table_at: Addresses, surface_at: Addresses, bounds_at: Addresses, items: Indices, kept: Indices) -> int:
    """Put those of ``items`` that may be answered into ``kept``, in the order given; how many there are."""
    table, surface, bounds = _table(table_at), _surface(surface_at), _bounds(bounds_at)
    _set_bounds(table, bounds)
    count = 0
    for item in items:
        if _judge(table, surface, bounds, _place(table, item)):
            kept[count] = item
            count += 1
    _unset_bounds(table, bounds)
    return count


@compiled_raw
def semantic_of(table_at: Addresses, entry: int) -> float:
    """The γ term of an entry, for explanations."""
    return _semantic(_table(table_at), entry)
