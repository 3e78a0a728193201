"""The canonical form is a fixed point for everything that is accepted."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from recsys.domain.canonical import InvalidJson, Json, canonicalise, has_plain_keys, parse

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_accepted_has_a_fixed_point(value: Json) -> None:
    canonical = canonicalise(parse(json.dumps(value).encode()))

    assert canonicalise(parse(canonical.encode())) == canonical
    assert parse(canonical.encode()) == parse(json.dumps(value).encode())


@given(values, st.integers(0, 4), st.booleans())
def test_white_space_escapes_and_key_order_do_not_matter(value: Json, indent: int, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    turned = json.dumps(_turned(value))

    assert canonicalise(parse(text.encode())) == canonicalise(parse(turned.encode()))


@given(st.floats(allow_nan=True) | st.integers())
def test_every_number_is_either_refused_or_stays_itself(number: float) -> None:
    text = json.dumps(number).encode()
    try:
        value = parse(text)
    except InvalidJson:
        assert not math.isfinite(number) or abs(number) >= 2**53
    else:
        assert value == number
        assert parse(canonicalise(value).encode()) == number


@given(st.lists(st.tuples(texts, st.integers(0, 9)), max_size=6))
def test_a_doubled_key_is_never_let_through(pairs: list[tuple[str, int]]) -> None:
    text = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"
    doubled = len({key for key, _ in pairs}) < len(pairs)
    try:
        parse(text.encode())
    except InvalidJson:
        assert doubled
    else:
        assert not doubled
    if has_plain_keys(text.encode()):
        assert not doubled


@given(st.binary(max_size=60))
def test_any_bytes_are_accepted_or_refused_in_our_own_words(data: bytes) -> None:
    try:
        canonical = canonicalise(parse(data))
    except InvalidJson:
        pass
    else:
        assert canonicalise(parse(canonical.encode())) == canonical


def _turned(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _turned(inner) for key, inner in reversed(value.items())}
    if isinstance(value, list):
        return [_turned(inner) for inner in value]
    return value
