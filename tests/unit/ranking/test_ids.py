from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.ranking import ids as module
from recsys.ranking.ids import Ids, make_ids

TEXTS = st.text(st.characters(exclude_categories=()) | st.sampled_from("aé\0😀\ud800"), max_size=6)


@settings(deadline=None)  # the machine may be busy
@given(st.sets(TEXTS), st.lists(TEXTS))
def test_ids_are_the_inverse_of_a_sorted_list(known: set[str], asked: list[str]) -> None:
    ordered = sorted(known)
    index = {text: at for at, text in enumerate(ordered)}
    ids = make_ids(ordered)

    assert list(ids) == ordered
    assert len(ids) == len(ordered)
    assert ids.texts(range(len(ordered))) == ordered
    assert ids.look_up(asked).tolist() == [index.get(text, -1) for text in asked]
    assert ids.find([*asked, *ordered]).tolist() == [index[text] for text in [*asked, *ordered] if text in index]
    assert [ids.index(text) for text in asked] == [index.get(text, -1) for text in asked]


def test_a_text_is_not_taken_for_the_beginning_of_another() -> None:
    ids = make_ids(["", "a", "aa", "aab", "b"])

    assert ids.look_up(["aa", "a", "", "aabb", "ab", "aab"]).tolist() == [2, 1, 0, -1, -1, 3]


@pytest.mark.parametrize("texts", [["b", "a"], ["a", "a"], ["ab", "a"], ["😀", "\uffff"]])
def test_texts_out_of_order_or_twice_are_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError):
        make_ids(texts)


def test_texts_that_crowd_in_one_place_of_the_table_are_found_all_the_same() -> None:
    texts = [f"{number:04d}" for number in range(1_000)]
    crowded = make_ids(texts)
    full = np.full(2_048, 0, np.int32)  # every slot is taken, and by another
    ids = Ids(crowded.utf8, crowded.starts, full)

    assert ids.look_up([*texts, "", "0500x", "zzz"]).tolist() == [*range(1_000), -1, -1, -1]


def test_the_memory_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TEXTS_REMEMBERED", 10)
    texts = [f"{number:02d}" for number in range(100)]
    ids = make_ids(texts)

    assert ids.texts([*range(100), 0]) == [*texts, "00"]
    assert len(ids._texts) <= 10


def test_nobody_can_write_into_ids() -> None:
    ids = make_ids(["a"])

    assert not any(array.flags.writeable for array in (ids.utf8, ids.starts, ids.slots))
