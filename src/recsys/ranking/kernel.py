"""The compiled heart of ranking: a table of candidates is filled, judged, scored and chosen from.

Arithmetic stands in the order that the contract gives it and every loop runs in a fixed order, so that an answer does
not depend on the machine. See :mod:`recsys.ranking.compiler` for why all of it is one file, and
:mod:`recsys.ranking.table` for what it works on.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.ranking.arrays import Indices, Values
from recsys.ranking.compiler import (
    Addresses,
    compiled_raw,
    float64s,
    inlined_raw,
    int32s,
    int64s,
    pointer,
    trailing_zeros,
    uint8s,
    uint32s,
    uint64s,
)
from recsys.ranking.table import CHOSEN_WORDS, Bounds, Longs, Offer, Surface, Table, Wish

COOC, EMB, COLLAB, CONTENT, SESSION = range(5)  # rows of Table.raw
POPULARITY: Final = -1  # as Wish.baseline

# Table.verdict: what an item is marked as before anybody looks at it (below ELIGIBLE), and what was found then
NEW, MARKED_EXCLUDED, MARKED_ANCHOR, ELIGIBLE, EXCLUDED, ANCHOR, BLOCKED, CONSTRAINED = range(8)

# Table.origin; pins alone are no candidates, but are scored and answered like them
POPULAR, NEIGHBOUR, BOOSTED, INCLUDED, PINNED = 1, 2, 4, 8, 16
DRAWN = POPULAR | NEIGHBOUR | BOOSTED | INCLUDED

BLENDED, PERSONALISED, FINAL = range(3)  # rows of Table.scores

FLOOR, OPENED_TO = range(2)  # Table.limits
POP, BOOST = range(2)  # columns of Surface.worth

# Table.tally; VERDICTS + verdict: how many items got it
(
    COUNT, WALKED, BOOSTS_WALKED, POPULAR_COUNT, BOOSTED_COUNT, NEIGHBOUR_COUNT, INCLUDED_COUNT, PIN_COUNT,
    CHOSEN, OPEN, FANOUT, BASELINE, SEMANTIC, LOOKED_UP, SEEN, WANTED, LISTED, OPENED, BUCKET, HEAPED, INJECTED,
    VERDICTS,
) = range(22)  # fmt: skip

_NO_CAP: Final = np.int32(2**31 - 1)
_NEVER: Final = np.int64(-(2**63))
_REQUIRED, _FORBIDDEN = 1, 2
_WIDEN: Final = 4
_AT_ONCE: Final = 16
_SAMPLES: Final = 64
_NEAR: Final = 24
_ONE: Final = np.uint64(1)


# --- arrays by address ------------------------------------------------------------------------------------------------
#
# What is an index is taken as unsigned: of a signed one compiled code asks at every use whether it counts from the end,
# which alone made adding up neighbours take 1.8 times as long. None is negative.


@inlined_raw
def _table(at: Addresses) -> Table:
    size = at[3]
    return Table(
        uint32s(pointer(at[0]), at[1]),
        uint32s(pointer(at[2]), at[3]),
        uint8s(pointer(at[4]), at[5]),
        uint8s(pointer(at[6]), at[7]),
        uint8s(pointer(at[8]), at[9]),
        float64s(pointer(at[10]), (5, size)),
        float64s(pointer(at[12]), (3, size)),
        float64s(pointer(at[14]), at[15]),
        float64s(pointer(at[16]), at[17]),
        uint32s(pointer(at[18]), at[19]),
        uint32s(pointer(at[20]), at[21]),
        uint32s(pointer(at[22]), at[23]),
        uint32s(pointer(at[24]), at[25]),
        float64s(pointer(at[26]), at[27]),
        int32s(pointer(at[28]), at[29]),
        uint32s(pointer(at[30]), at[31]),
        int32s(pointer(at[32]), at[33]),
        float64s(pointer(at[34]), at[35]),
        int64s(pointer(at[36]), at[37]),
        int64s(pointer(at[38]), at[39]),
        uint8s(pointer(at[40]), at[41]),
        int32s(pointer(at[42]), at[43]),
        int32s(pointer(at[44]), at[45]),
        uint64s(pointer(at[46]), at[47]),
        float64s(pointer(at[48]), at[49]),
        int32s(pointer(at[50]), at[51]),
        float64s(pointer(at[52]), at[53]),
    )


@inlined_raw
def _surface(at: Addresses) -> Surface:
    return Surface(
        float64s(pointer(at[0]), at[1]),
        int64s(pointer(at[2]), at[3]),
        uint64s(pointer(at[4]), at[5]),
        uint32s(pointer(at[6]), at[7]),
        float64s(pointer(at[8]), (at[9] >> 1, 2)),
        uint32s(pointer(at[10]), at[11]),
        uint32s(pointer(at[12]), at[13]),
        int64s(pointer(at[14]), at[15]),
        int64s(pointer(at[16]), at[17]),
        int32s(pointer(at[18]), at[19]),
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


@inlined_raw
def _offer(at: Addresses) -> Offer:
    return Offer(
        uint32s(pointer(at[0]), at[1]),
        uint8s(pointer(at[2]), at[3]),
        uint8s(pointer(at[4]), at[5]),
        int64s(pointer(at[6]), at[7]),
    )


# --- the table --------------------------------------------------------------------------------------------------------


@compiled_raw
def begin(at: Addresses, offer_at: Addresses, anchors: Indices, excluded: Indices, semantic: bool) -> None:
    """Empty the table but for what is offered to everybody, and mark what must not be answered.

    ``excluded`` wins over ``anchors``. ``semantic``: there are other signals than co-visitation, so there is a γ term.
    """
    table, offer = _table(at), _offer(offer_at)
    for entry in range(offer.items.size):
        table.entry_of[offer.items[entry]] = entry
        table.items[entry] = offer.items[entry]
        table.origin[entry] = offer.origin[entry]
        table.verdict[entry] = offer.verdict[entry]
        table.found[entry] = 0
        table.raw[COOC, entry] = 0.0
    if semantic:
        table.raw[EMB:, : offer.items.size] = 0.0
    for number in range(offer.tally.size):
        table.tally[number] = offer.tally[number]
    table.tally[SEMANTIC] = semantic
    for item in anchors:
        _mark(table, item, MARKED_ANCHOR, ANCHOR)
    for item in excluded:
        _mark(table, item, MARKED_EXCLUDED, EXCLUDED)


@inlined_raw
def _mark(table: Table, item: int, unseen: int, seen: int) -> None:
    """Keep an item out: count it at once where it was looked at, else when it is."""
    entry = _place(table, item)
    verdict = table.verdict[entry]
    if verdict < ELIGIBLE:
        table.verdict[entry] = unseen
        return
    table.tally[VERDICTS + verdict] -= 1
    table.tally[VERDICTS + seen] += 1
    table.tally[POPULAR_COUNT] -= table.origin[entry] & POPULAR != 0
    table.tally[BOOSTED_COUNT] -= table.origin[entry] & BOOSTED != 0
    table.origin[entry] = 0
    table.verdict[entry] = seen


@compiled_raw
def make_offer(at: Addresses, surface_at: Addresses, bounds_at: Addresses, order: Indices, fanout: int) -> None:
    """Fill an empty table with what is offered to everybody: the most popular, and what rules boost."""
    table, surface, bounds = _table(at), _surface(surface_at), _bounds(bounds_at)
    _draw_popular(table, surface, bounds, order, fanout)


@inlined_raw
def _place(table: Table, item: int) -> int:
    """The entry of an item, made when there is none.

    What ``entry_of`` says of an item that has none may be from another request; an entry that is in use and about the
    item cannot be (Briggs and Torczon: An efficient representation for sparse sets, 1993).
    """
    entry, count = np.int64(table.entry_of[np.uint32(item)]), table.tally[COUNT]
    if entry < count and table.items[entry] == item:
        return entry
    table.entry_of[np.uint32(item)] = count
    table.items[count] = item
    table.found[count] = 0
    _start(table, count, count + 1)
    table.raw[COOC, count] = 0.0
    table.tally[COUNT] = count + 1
    return count


@inlined_raw
def _start(table: Table, begin: int, end: int) -> None:
    """Nothing is known about new entries but what signals find."""
    table.origin[begin:end] = 0
    table.verdict[begin:end] = NEW
    if table.tally[SEMANTIC]:
        table.raw[EMB:, begin:end] = 0.0


# --- what signals find ------------------------------------------------------------------------------------------------


@compiled_raw
def add_rows(at: Addresses, signal: int, lists: Addresses, rows: Indices, weights: Values) -> None:
    """Add weight · value of every entry of ``rows`` of a signal's lists, row by row in the order given.

    Whether an item has an entry already nobody can foresee, so nothing branches on it: that halved the time.
    """
    table = _table(at)
    starts = uint64s(pointer(lists[0]), lists[1])
    items = uint32s(pointer(lists[2]), lists[3])
    values = float64s(pointer(lists[4]), lists[5])
    listed = _fetch_rows(table, starts, items, values, rows)
    raw, entry_of, table_items, found = table.raw[signal], table.entry_of, table.items, table.found
    first = table.tally[COUNT]
    _start(table, first, min(first + listed, table_items.size))
    table.raw[COOC, first : min(first + listed, table_items.size)] = 0.0
    found[first : min(first + listed, table_items.size)] = 0
    bit, count, one = np.uint8(1 << signal), np.uint64(first), np.uint64(1)
    for number in range(rows.size):
        weight = weights[number]
        begin, end = starts[rows[number]], starts[rows[number] + 1]
        _fetch_entries(table, items, begin, end)
        for place in range(begin, end):
            item = items[place]
            entry = np.uint64(entry_of[item])
            known = (entry < count) & (table_items[entry] == item)  # as in _place
            entry = entry if known else count
            entry_of[item] = entry
            table_items[entry] = item
            raw[entry] += values[place] * weight
            found[entry] |= bit
            count += one - np.uint64(known)
    table.tally[COUNT] = count


@inlined_raw
def _fetch_rows(table: Table, starts: Longs, items: Indices, values: Values, rows: Indices) -> int:
    """Read something of every cache line of the rows: together, so that memory is waited for once. Their length."""
    seen, listed = 0.0, np.uint64(0)
    for number in range(rows.size):
        begin, end = starts[rows[number]], starts[rows[number] + 1]
        listed += end - begin
        for place in range(begin, end, np.uint64(8)):
            seen += items[place] + values[place]
    table.gains[0] = seen  # written somewhere, or the compiler would leave the reads out
    return np.int64(listed)


@inlined_raw
def _fetch_entries(table: Table, items: Indices, begin: int, end: int) -> None:
    """Read which entries items have, doing nothing else, so that more of these reads are under way at a time."""
    seen = np.uint32(0)
    for place in range(begin, end):
        seen += table.entry_of[items[place]]
    table.tally[SEEN] = seen  # written somewhere, or the compiler would leave the reads out


# --- filters ----------------------------------------------------------------------------------------------------------


@inlined_raw
def _judge(table: Table, surface: Surface, bounds: Bounds, entry: int) -> bool:
    """Whether an item may be answered; the first look at it is counted by its verdict."""
    verdict = table.verdict[entry]
    if verdict < ELIGIBLE:
        blocked = np.isnan(surface.worth[table.items[entry], BOOST])
        verdict = _verdict_on(table, surface, bounds, entry, blocked)
        table.verdict[entry] = verdict
        table.tally[VERDICTS + verdict] += 1
    return verdict == ELIGIBLE


@inlined_raw
def _verdict_on(table: Table, surface: Surface, bounds: Bounds, entry: int, blocked: bool) -> int:
    """What is to be said of an item that nobody has looked at yet."""
    mark, item = table.verdict[entry], table.items[entry]
    if mark == MARKED_EXCLUDED:
        return EXCLUDED
    if mark == MARKED_ANCHOR:
        return ANCHOR
    if blocked:
        return BLOCKED
    return CONSTRAINED if bounds.numbers[2] and not _satisfies(table, surface, bounds, item) else ELIGIBLE


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
def _fetch_judged(table: Table, surface: Surface, bounds: Bounds, items: Indices, begin: int, end: int) -> None:
    """Read what constraints ask of items ``begin`` … ``end`` − 1: together, so that memory is waited for once."""
    if not bounds.numbers[2]:
        return
    seen = 0.0
    for at in range(begin, min(end, items.size)):
        item = items[at]
        tag = surface.tag_starts[item]
        seen += surface.prices[item] + surface.worth[item, BOOST]
        if tag < surface.tag_starts[item + 1]:
            seen += surface.tags[tag]
    table.gains[0] = seen  # written somewhere, or the compiler would leave the reads out


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


@inlined_raw
def _look_up(table: Table, surface: Surface) -> None:
    """Put what entries that are new are worth into the table, doing nothing else, as in :func:`_fetch_entries`."""
    begin, end = np.uint64(table.tally[LOOKED_UP]), np.uint64(table.tally[COUNT])
    for entry in range(begin, end):
        table.own[entry] = surface.worth[table.items[entry], POP]
    for entry in range(begin, end):
        table.boost[entry] = surface.worth[table.items[entry], BOOST]
    table.tally[LOOKED_UP] = end


# --- candidates -------------------------------------------------------------------------------------------------------


@inlined_raw
def _draw_found(table: Table, surface: Surface, bounds: Bounds) -> None:
    """Everything that signals found and the filters let pass."""
    _look_up(table, surface)
    _fetch_judged(table, surface, bounds, table.items, 0, table.tally[COUNT])
    drawn, passed = 0, 0  # counted here: counting in memory waits for the count before
    for entry in range(table.tally[COUNT]):
        verdict, found = np.int64(table.verdict[entry]), table.found[entry] != 0
        if (verdict < ELIGIBLE) & found:
            verdict = np.int64(_verdict_on(table, surface, bounds, entry, np.isnan(table.boost[entry])))
            table.verdict[entry] = verdict
            if verdict == ELIGIBLE:
                passed += 1
            else:
                table.tally[VERDICTS + verdict] += 1
        draws = found & (verdict == ELIGIBLE)
        table.origin[entry] |= NEIGHBOUR * draws
        drawn += draws
    table.tally[VERDICTS + ELIGIBLE] += passed
    table.tally[NEIGHBOUR_COUNT] = drawn


@inlined_raw
def _draw_included(table: Table, surface: Surface, bounds: Bounds, included: Indices) -> None:
    for item in included:
        entry = _place(table, item)
        if not table.origin[entry] and _judge(table, surface, bounds, entry):
            table.origin[entry] = INCLUDED
            table.tally[INCLUDED_COUNT] += 1


@inlined_raw
def _draw_popular(table: Table, surface: Surface, bounds: Bounds, order: Indices, fanout: int) -> None:
    """The ``fanout`` most popular items, and as many of those that rules boost."""
    _draw_ordered(table, surface, bounds, order, WALKED, POPULAR_COUNT, POPULAR, fanout)
    _draw_ordered(table, surface, bounds, surface.boost_order, BOOSTS_WALKED, BOOSTED_COUNT, BOOSTED, fanout)


@inlined_raw
def _draw_ordered(
    table: Table, surface: Surface, bounds: Bounds, order: Indices, walked: int, counted: int, origin: int, most: int
) -> None:
    """Walk on in ``order`` until ``most`` eligible items are drawn: the work grows with what is filtered."""
    at, found = table.tally[walked], table.tally[counted]
    _fetch_judged(table, surface, bounds, order, at, at + most - found)
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
    """Score every entry, and count those that are to be chosen from; the highest score among these.

    Pass after pass, each short enough for the machine to work on many entries at once; those that are neither candidate
    nor pin are scored along, which costs less than looking.
    """
    count, items, own = table.tally[COUNT], table.items, table.own
    blended, personalised, final = table.scores[BLENDED], table.scores[PERSONALISED], table.scores[FINAL]
    _look_up(table, surface)
    if table.tally[BASELINE] != POPULARITY:
        baseline = table.raw[table.tally[BASELINE]]
        for entry in range(count):
            own[entry] = _norm(baseline[entry])
    cooc = table.raw[COOC]
    for entry in range(count):
        blended[entry] = wish.alpha * own[entry] + wish.beta * _norm(cooc[entry])
    if table.tally[SEMANTIC]:
        for entry in range(count):
            blended[entry] += wish.gamma * _semantic(table, entry)
    for entry in range(count):
        personalised[entry] = blended[entry]
    if personal:
        for entry in range(count):
            overlap = _overlap(table, surface, items[entry])
            personalised[entry] = blended[entry] * (1.0 + wish.uplift * overlap * wish.certainty)
    for entry in range(count):
        boost, score = table.boost[entry], personalised[entry]
        final[entry] = max(score + score * boost if score != 0.0 else boost, 0.0)
    open_, gains = 0, table.gains  # which are not in use yet
    for entry in range(count):
        gains[entry] = final[entry] if _is_open(table, entry) else 0.0
        open_ += _is_open(table, entry)
    table.tally[OPEN] = open_
    return _largest(gains, count)


@inlined_raw
def _largest(values: Values, count: int) -> float:
    """The largest of the first ``count`` values, at least 0. They are used up.

    One half against the other, again and again: comparing one value after the other would wait for every comparison.
    """
    width = count
    while width > 1:
        half = (width + 1) >> 1
        for at in range(width - half):
            values[at] = max(values[at], values[half + at])
        width = half
    return max(values[0], 0.0) if count else 0.0


@inlined_raw
def _is_open(table: Table, entry: int) -> bool:
    """Whether an entry is a candidate, and not pinned."""
    return (table.origin[entry] > 0) & (table.origin[entry] < PINNED)


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
def _sift_down(table: Table, size: int) -> None:
    """Let the entry at the top of the heap ``heap[:size]`` sink to where it belongs."""
    heap, at = table.heap, 0
    entry = heap[0]
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
def _pop(table: Table) -> int:
    """Take the entry at the top of the heap."""
    heap, size = table.heap, table.tally[HEAPED] - 1
    top = heap[0]
    heap[0] = heap[size]
    table.tally[HEAPED] = size
    _sift_down(table, size)
    return top


@inlined_raw
def _push(table: Table, entry: int) -> None:
    """Add an entry to the heap."""
    heap, at = table.heap, table.tally[HEAPED]
    table.tally[HEAPED] = at + 1
    while at > 0 and _before(table, entry, heap[(at - 1) >> 1]):
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = entry


@inlined_raw
def _relevance(wish: Wish, score: float, s_max: float) -> float:
    if wish.mmr_lambda == 0.0:
        return score
    return wish.mmr_lambda * score / s_max if s_max > 0.0 else 0.0


@inlined_raw
def _guess_floor(table: Table, wanted: int) -> float:
    """A score that about ``wanted`` open entries reach, by a sample of them; −∞ when all are to be listed at once.

    A wrong guess costs time and changes nothing: who is below is listed when those above are used up.
    """
    count, final, best = table.tally[COUNT], table.scores[FINAL], table.answer_scores  # there is no answer yet
    if count <= 2 * wanted:
        return -np.inf
    step = max(count // _SAMPLES, 1)
    kept, most = 0, wanted // step + 1
    for entry in range(0, count, step):
        score = final[entry]
        if not _is_open(table, entry) or (kept == most and score <= best[most - 1]):
            continue
        at = min(kept, most - 1)
        while at > 0 and best[at - 1] < score:
            best[at] = best[at - 1]
            at -= 1
        best[at] = score
        kept = min(kept + 1, most)
    return best[most - 1] if kept == most else -np.inf


@inlined_raw
def _list_open(table: Table, wanted: int, below: float) -> None:
    """List about ``wanted`` open entries, those of the best scores ``below``, and sort them into buckets.

    ``below``: the floor of the entries that were listed before; NaN: there are none.
    """
    floor = _guess_floor(table, wanted)
    if floor >= below:
        floor = -np.inf
    table.tally[WANTED], table.limits[FLOOR] = wanted, floor
    listed, final = 0, table.scores[FINAL]
    for entry in range(table.tally[COUNT]):
        table.open[listed] = entry
        listed += _is_open(table, entry) & (final[entry] >= floor) & (not final[entry] >= below)
    table.tally[LISTED], table.tally[OPENED], table.tally[BUCKET] = listed, 0, 0
    _sort_into_buckets(table)


@inlined_raw
def _sort_into_buckets(table: Table) -> None:
    """Sort the listed entries into ``ranked``, bucket by bucket: no higher score is in a later one.

    The buckets are equally wide, from the best to the worst. Bucket b begins at ``buckets[b]``.
    """
    final, bucket_of, buckets, listed = table.scores[FINAL], table.bucket_of, table.buckets, table.tally[LISTED]
    best, worst = 0.0, np.inf
    for at in range(listed):
        best = max(best, final[table.open[at]])
        worst = min(worst, final[table.open[at]])
    span, last = best - worst if best > worst else 1.0, buckets.size - 1.0
    for at in range(listed):
        place = (best - final[table.open[at]]) / span * last
        bucket_of[at] = int(min(place, last)) if place > 0.0 else 0  # whatever it is, it is no other's memory
    buckets[:] = 0
    for at in range(listed):
        buckets[bucket_of[at]] += 1
    for bucket in range(1, buckets.size):
        buckets[bucket] += buckets[bucket - 1]
    for at in range(listed - 1, -1, -1):  # each bucket is filled from its end, and so comes to its begin
        buckets[bucket_of[at]] -= 1
        table.ranked[buckets[bucket_of[at]]] = table.open[at]


@inlined_raw
def _fetch_tags(table: Table, surface: Surface, begin: int, end: int) -> None:
    """Read the tags of entries that will be compared: together, so that memory is waited for once."""
    seen = 0
    for number in range(begin, end):
        item = table.items[table.ranked[number]]
        if surface.tag_starts[item] < surface.tag_starts[item + 1]:
            seen += surface.tags[surface.tag_starts[item]]
    table.tally[SEEN] = seen  # written somewhere, or the compiler would leave the reads out


@inlined_raw
def _word(tag: int, number: int) -> int:
    """Where ``tag_chosen`` has the bit of the answer's item ``number`` for a tag; it is bit ``number`` mod 64."""
    return np.uint64(tag * CHOSEN_WORDS + (number >> 6))


@inlined_raw
def _take(table: Table, surface: Surface, entry: int, number: int) -> None:
    """Note under each tag of an item that it is the answer's item ``number``."""
    item = table.items[entry]
    table.chosen[number] = entry
    begin, end = surface.tag_starts[item], surface.tag_starts[item + 1]
    table.tags_of[number] = end - begin
    for at in range(begin, end):
        tag = surface.tags[at]
        table.tag_chosen[_word(tag, number)] |= _ONE << np.uint64(number & 63)
        table.tag_count[tag] += 1


@inlined_raw
def _untake(table: Table, surface: Surface) -> None:
    for number in range(table.tally[CHOSEN]):
        item = table.items[table.chosen[number]]
        for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
            table.tag_count[surface.tags[at]] = 0
            table.tag_chosen[_word(surface.tags[at], number)] = 0


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
def _likeness(table: Table, surface: Surface, item: int, since: int, until: int) -> float:
    """The largest Jaccard similarity of an item's tags to those of the answer's items ``since`` … ``until`` − 1.

    Fractions are compared by multiplying, so that only the largest is divided: quotients keep their order when rounded.
    """
    begin, end = surface.tag_starts[item], surface.tag_starts[item + 1]
    own = np.int64(end - begin)
    most_shared, least_either = np.int64(0), np.int64(1)
    for first in range(since & ~63, until, 64):  # those that have their bits in one word
        alike = np.uint64(0)
        for at in range(begin, end):
            alike |= table.tag_chosen[_word(surface.tags[at], first)]
        if first < since:
            alike &= ~np.uint64(0) << np.uint64(since & 63)  # the others are compared already
        while alike:
            bit = trailing_zeros(alike)
            alike &= alike - _ONE
            shared = np.int64(0)
            for at in range(begin, end):
                shared += np.int64(table.tag_chosen[_word(surface.tags[at], first)] >> np.uint64(bit)) & 1
            either = own + np.int64(table.tags_of[first + bit]) - shared
            if shared * least_either > most_shared * either:
                most_shared, least_either = shared, either
    return most_shared / least_either


@inlined_raw
def _compare(table: Table, surface: Surface, wish: Wish, entry: int, chosen: int, s_max: float) -> None:
    """Bring an entry's gain up to date with the ``chosen`` entries."""
    gain = _relevance(wish, table.scores[FINAL, entry], s_max)
    if wish.mmr_lambda != 0.0:
        likeness = _likeness(table, surface, table.items[entry], table.compared[entry], chosen)
        gain -= (1.0 - wish.mmr_lambda) * likeness
    table.gains[entry] = min(table.gains[entry], gain)
    table.compared[entry] = chosen


@inlined_raw
def _open_more(table: Table, surface: Surface, wish: Wish, chosen: int, s_max: float) -> None:
    """Compare the entries of the next buckets, 16 or somewhat more, and put them into the heap.

    ``limits[OPENED_TO]`` becomes the lowest relevance of all of them: no entry that is left is better than that.
    """
    tally, buckets = table.tally, table.buckets
    begin, end = tally[OPENED], tally[OPENED]
    while end < min(begin + _AT_ONCE, tally[LISTED]):
        tally[BUCKET] += 1
        end = buckets[tally[BUCKET]] if tally[BUCKET] < buckets.size else tally[LISTED]
    _fetch_tags(table, surface, begin, end)
    lowest = np.inf
    for number in range(begin, end):
        entry = table.ranked[number]
        table.gains[entry], table.compared[entry] = np.inf, 0
        _compare(table, surface, wish, entry, chosen, s_max)
        _push(table, entry)
        lowest = min(lowest, table.scores[FINAL, entry])
    tally[OPENED] = end
    table.limits[OPENED_TO] = _relevance(wish, lowest, s_max)


@inlined_raw
def _take_best(table: Table, surface: Surface, wish: Wish, chosen: int, s_max: float) -> int:
    """Take the best of the entries that are left; −1: none is.

    An entry's gain is an upper bound until it is compared with all that are ``chosen``. Those that were compared with
    any stand in ``heap``; ``ranked`` is gone through bucket by bucket only for as long as what comes there could be
    better. So who is at the top of the heap and up to date then, is the best of all: of equal gains, too, since what
    comes later has lower scores.
    """
    tally, limits = table.tally, table.limits
    while True:
        nothing_left = tally[OPENED] == tally[LISTED] and limits[FLOOR] == -np.inf
        if tally[HEAPED] > 0 and (nothing_left or table.gains[table.heap[0]] >= limits[OPENED_TO]):
            top = np.int64(table.heap[0])
            if table.compared[top] == chosen or wish.mmr_lambda == 0.0:
                return _pop(table)
            _compare(table, surface, wish, int(top), chosen, s_max)
            _sift_down(table, tally[HEAPED])
        elif tally[OPENED] < tally[LISTED]:
            _open_more(table, surface, wish, chosen, s_max)
        elif nothing_left:
            return -1
        else:
            _list_open(table, 2 * tally[WANTED], limits[FLOOR])


@inlined_raw
def _choose(table: Table, surface: Surface, wish: Wish, capped: bool, s_max: float) -> None:
    """Fill ``chosen`` to k: the best first."""
    table.limits[OPENED_TO] = np.inf
    _list_open(table, _NEAR * wish.k, np.nan)
    table.tally[HEAPED] = 0
    noting = capped or wish.mmr_lambda > 0.0
    chosen = table.tally[PIN_COUNT]
    if noting:
        for number in range(chosen):
            _take(table, surface, table.chosen[number], number)
    while chosen < wish.k:
        entry = _take_best(table, surface, wish, chosen, s_max)
        if entry < 0:
            break
        if not capped or _fits(table, surface, entry):
            if noting:
                _take(table, surface, entry, chosen)
            table.chosen[chosen] = entry
            chosen += 1
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


@inlined_raw
def _write_answer(table: Table) -> None:
    """Put items and scores of the chosen together: Python would pick them out one by one. Count pins that none drew."""
    injected = 0
    for number in range(table.tally[CHOSEN]):
        entry = table.chosen[number]
        table.answer[number] = table.items[entry]
        table.answer_scores[number] = table.scores[FINAL, entry]
        injected += table.origin[entry] == PINNED
    table.tally[INJECTED] = injected


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
    answer is in ``chosen`` and ``answer``.
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
            _draw_popular(table, surface, bounds, order, fanout)
        table.tally[BASELINE] = _baseline(table, wish.baseline)
        s_max = _score(table, surface, wish, personal)
        _choose(table, surface, wish, capped, s_max)
        if table.tally[CHOSEN] >= wish.k or only_included or table.tally[WALKED] >= order.size:
            break
        fanout *= _WIDEN
    table.tally[FANOUT] = fanout
    _order_chosen(table)
    _write_answer(table)
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
def keep_within_caps(
    table_at: Addresses, surface_at: Addresses, bounds_at: Addresses, items: Indices, places: Indices
) -> int:
    """Put the places of the first of ``items`` of which no more than so many carry a tag into ``places``; how many.

    The caps are those of the request alone.
    """
    table, surface, bounds = _table(table_at), _surface(surface_at), _bounds(bounds_at)
    _set_bounds(table, bounds)
    count = 0
    for place in range(items.size):
        if count == places.size:
            break
        begin, end = surface.tag_starts[items[place]], surface.tag_starts[items[place] + 1]
        fits = True
        for at in range(begin, end):
            fits &= table.tag_count[surface.tags[at]] < table.tag_limit[surface.tags[at]]
        if fits:
            places[count] = place
            count += 1
            for at in range(begin, end):
                table.tag_count[surface.tags[at]] += 1
    for number in range(count):
        item = items[places[number]]
        for at in range(surface.tag_starts[item], surface.tag_starts[item + 1]):
            table.tag_count[surface.tags[at]] = 0
    _unset_bounds(table, bounds)
    return count


@compiled_raw
def semantic_of(table_at: Addresses, entry: int) -> float:
    """The γ term of an entry, for explanations."""
    return _semantic(_table(table_at), entry)
