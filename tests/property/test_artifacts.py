"""Artifacts: the order of the rows leaves no trace, nothing is lost, and a broken file is refused and breaks nothing."""

from __future__ import annotations

import random
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.artifacts.codec import decode, encode
from recsys.domain.errors import ArtifactIncompatible
from recsys.domain.manifest import ArtifactKind
from tests.support.tables import NEVER, T0, table

KINDS: tuple[ArtifactKind, ...] = get_args(ArtifactKind)

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3) | st.sampled_from("abcdefgh")
scores = st.floats(min_value=1e-300, max_value=1e15)
times = st.integers(T0, T0 + 50)
pairs = st.dictionaries(st.tuples(ids, ids), scores, max_size=30)
neighbours = pairs.map(
    lambda found: [{"item_id": a, "neighbor_id": b, "score": score} for (a, b), score in found.items() if a != b]
)
items = st.fixed_dictionaries(
    {
        "title": st.text(st.characters(codec="utf-8"), max_size=3),
        "tags": st.lists(ids, max_size=4, unique=True).map(sorted),
        "price": st.floats(0, 1e12) | st.just(float("nan")),
        "created_at": times | st.just(NEVER),
        "attributes": st.sampled_from(["", "{}", '{"a":1}']),
    }
)
TABLES: dict[ArtifactKind, st.SearchStrategy[list[dict[str, Any]]]] = {
    "popularity": st.dictionaries(ids, scores, max_size=30).map(
        lambda found: [{"item_id": item, "score": score} for item, score in found.items()]
    ),
    "cooc": neighbours,
    "content_sim": neighbours,
    "session_seq": neighbours,
    "embedding": neighbours,
    "implicit": pairs.map(
        lambda found: [{"user_id": a, "item_id": b, "score": score} for (a, b), score in found.items()]
    ),
    "history": st.lists(
        st.fixed_dictionaries({"user_id": ids, "item_id": ids, "event_type": ids, "at": times}), max_size=30
    ),
    "session_knn": st.lists(st.lists(ids, min_size=1, max_size=5), max_size=8).map(
        lambda sessions: [
            {"session": number, "at": T0 + number // 2, "item_id": item, "position": position}
            for number, seen in enumerate(sessions)
            for position, item in enumerate(seen)
        ]
    ),
    "catalog": st.dictionaries(ids, items, max_size=20).map(
        lambda found: [{"item_id": item, **facts} for item, facts in found.items()]
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rows_in_any_order_make_the_same_bytes_and_come_out_as_they_went_in(
    kind: ArtifactKind, data: st.DataObject
) -> None:
    rows = data.draw(TABLES[kind])
    content = encode(kind, table(kind, rows))

    assert encode(kind, table(kind, data.draw(st.permutations(rows)))) == content
    again = decode(kind, content).to_table()
    assert sorted(map(repr, again.to_pylist())) == sorted(map(repr, table(kind, rows).to_pylist()))
    assert encode(kind, again) == content


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_file_that_was_cut_short_or_changed_is_refused_or_read_but_breaks_nothing(
    kind: ArtifactKind, data: st.DataObject
) -> None:
    content = encode(kind, table(kind, data.draw(TABLES[kind])))
    chance = random.Random(data.draw(st.integers(0, 2**32)))

    for _ in range(100):
        length = chance.randrange(len(content))
        with pytest.raises(ArtifactIncompatible):
            decode(kind, content[:length])
        changed = np.frombuffer(content, np.uint8).copy()
        for _ in range(chance.choice([1, 1, 4])):
            changed[chance.randrange(changed.size)] ^= 1 << chance.randrange(8)
        try:
            artifact = decode(kind, changed.tobytes())
        except ArtifactIncompatible:
            continue
        # What passes every check is sound, whatever it says: it can be read to the end, and written again.
        artifact.to_table().validate(full=True)
