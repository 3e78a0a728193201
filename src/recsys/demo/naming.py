"""What a product's name says: a readable title, words that describe it, and a price band. Pure text in, text out."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PRICE_BANDS: Final = ("price:under-2", "price:2-5", "price:5-10", "price:over-10")
"""The price band tags, from cheap to dear. Every item carries exactly one; the lower bound belongs to the band."""
_LOWER_BOUNDS: Final = (2.0, 5.0, 10.0)

MAX_WORDS: Final = 5
MIN_ITEMS: Final = 10
MAX_SHARE: Final = 0.4
"""A word becomes a tag when it tells items apart: on at least ``MIN_ITEMS`` and at most ``MAX_SHARE`` of them."""


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


COLOURS: Final = _set_of("""
    amber amethyst beige black blue brown burgundy clear copper cream fuchsia fuschia gold green grey ivory jade lilac
    mint multicolour natural navy olive orange pastel pink purple red ruby silver turquoise white yellow
""")
STOP_WORDS: Final = _set_of("""
    and ant ass assorted asst asstd big can col colour coloured colours design for from girls happy home in its keep
    large medium mini neckl new not number of off on own pack pair pairs pcs piece pieces quality round set shape shaped
    single size small style tall the time top triple with you your
""")
_SMALL_WORDS: Final = _set_of("a and at for from in of on or the to with")
_INITIALS: Final = _set_of("ABC CD DIY DVD LCD LED TV UK USB")
_LETTERS = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")


def title(description: str) -> str:
    """Write a description from the till, all capitals, the way a shop window would: ``Set of 3 Cake Tins``."""
    text = re.sub(r"\s*,\s*", ", ", " ".join(description.split())).strip(" .,*")
    return _LETTERS.sub(_capitalise, text)


def _capitalise(found: re.Match[str]) -> str:
    word, start = found.group(), found.start()
    before, after = found.string[:start][-1:], found.string[found.end() :][:1]
    if before.isdigit() or before == "'":  # a unit or an ending: 125g, 40x40cm, 50's
        return word if word == "D" else word.lower()
    if word.upper() in _INITIALS:
        return word.upper()
    if word.lower() in _SMALL_WORDS and before == " " and not (word == "A" and after.isdigit()):  # paper comes in A5
        return word.lower()
    return word.capitalize()


def words(text: str) -> list[str]:
    """The words of a title that could describe the item: lower-case, each once, in order, without stop words."""
    found = (word.replace("'", "") for word in _WORD.findall(text.lower()))  # both CHILDREN'S and CHILDRENS occur
    return list(dict.fromkeys(word for word in found if len(word) > 2 and word not in STOP_WORDS))


def describing_tags(titles: Sequence[str]) -> list[list[str]]:
    """Choose for each title at most ``MAX_WORDS`` of its words as tags, the most shared first (ties by code point).

    Colours come after all other words and never stand alone: two items are not alike because both are pink.
    """
    found = [words(text) for text in titles]
    items_with = Counter(word for each in found for word in each)
    kept = {word for word, items in items_with.items() if MIN_ITEMS <= items <= MAX_SHARE * len(titles)}
    return [_choose((word for word in each if word in kept), items_with) for each in found]


def _choose(candidates: Iterable[str], items_with: Counter[str]) -> list[str]:
    ranked = sorted(candidates, key=lambda word: (word in COLOURS, -items_with[word], word))
    return ranked[:MAX_WORDS] if ranked and ranked[0] not in COLOURS else []


def price_band(price: float) -> str:
    """The one of ``PRICE_BANDS`` that a price in pounds falls into."""
    return PRICE_BANDS[sum(price >= bound for bound in _LOWER_BOUNDS)]
