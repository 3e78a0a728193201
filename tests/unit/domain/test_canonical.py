"""Canonical JSON: golden vectors, and what is refused."""

import pytest

from recsys.domain import canonical
from recsys.domain.canonical import InvalidJson, canonicalise, content_hash, has_plain_keys, parse

GOLDEN = [
    # RFC 8785, section 3.2.2: numbers as ECMAScript prints them; literals; the escapes that remain.
    (
        (
            rb'{"numbers":[333333333.33333329,1E-27,4.50,2e-3,0.000000000000000000000000001],'
            rb'"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}'
        ),
        (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e-27,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ),
    ),
    # Section 3.2.3: keys in order of UTF-16 code units, so that U+1F600 (D83D DE00) comes before U+FB33.
    (
        rb'{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}',
        '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
    ),
    (b"-0.0", "0"),
    (b"1.0", "1"),
    (b"100E-2", "1"),
    (b"1e15", "1000000000000000"),
    (b"9007199254740991", "9007199254740991"),
    (b"-9007199254740991.0", "-9007199254740991"),
    (b"5e-324", "5e-324"),
    (b"0.1", "0.1"),
    (b'"\xc3\xa9"', '"é"'),
    (b" [ ] ", "[]"),
]


@pytest.mark.parametrize(("text", "canonical"), GOLDEN)
def test_golden_vectors_and_their_fixed_point(text: bytes, canonical: str) -> None:
    assert canonicalise(parse(text)) == canonical
    assert canonicalise(parse(canonical.encode())) == canonical


def test_a_version_is_the_sha_256_of_the_canonical_text() -> None:
    # printf '{}' | sha256sum
    assert content_hash("{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    ("text", "pointer", "says"),
    [
        (b"", "", "Not JSON"),
        (b"{", "", "Not JSON"),
        (b"[1,]", "", "Not JSON"),
        (b"\xff", "", "Not UTF-8"),
        (b"\xef\xbb\xbf{}", "", "Not JSON"),
        (b'{"a":NaN}', "", "NaN"),
        (b'{"a":-Infinity}', "", "Infinity"),
        (b'{"a":1e400}', "/a", "1e400 is too large"),
        (b'{"a":[1,{"b":99999999999999999999999}]}', "/a/1/b", "99999999999999999999… is too large"),
        (b'{"a":-1e300}', "/a", "-1e300 is too large"),
        (b'{"a":[1e16]}', "/a/0", "9007199254740991"),
        (b'{"a":9007199254740992}', "/a", "too large"),
        (b'{"a":9007199254740992.0}', "/a", "too large"),
        (b'{"a":-9007199254740993}', "/a", "too large"),
        (b"9" * 100_000, "", "too large"),
        (b'{"a":1,"a":1}', "/a", "twice"),
        (b'{"a":{"b/~":1,"b/~":2}}', "/b~1~0", "twice"),
        (rb'{"a":"\u0000"}', "/a", "NUL"),
        (rb'{"\u0000":1}', "", "NUL"),
        (rb'{"a":"\ud800"}', "/a", "surrogate"),
        (rb'{"\udc00":1}', "", "surrogate"),
        (rb'{"\udc00":1,"\udc00":2}', "", "surrogate"),
        (b"[" * 66 + b"]" * 66, "/0" * 65, "deeper"),
        (b"[" * 100_000, "", "deeper"),
        (b'{"a":' * 100_000, "", "deeper"),
    ],
)
def test_what_has_no_canonical_form_is_refused_and_located(text: bytes, pointer: str, says: str) -> None:
    with pytest.raises(InvalidJson, match=says) as caught:
        parse(text)

    assert caught.value.faults[0].pointer == pointer


def test_sixty_four_levels_are_allowed() -> None:
    assert canonicalise(parse(b"[" * 65 + b"]" * 65)) == "[" * 65 + "]" * 65


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (b'{"a":1,"b":{"c":2}}', True),
        (b'{"a":1,"a":2}', False),
        (b'{"a":1,"b":{"a":2}}', False),
        (rb'{"a":1,"\u0061":2}', False),
        (b'{"a" :1, "a"\n: 2}', False),
        (b"[]", True),
    ],
)
def test_the_quick_look_never_calls_a_doubled_key_plain(text: bytes, plain: bool) -> None:
    assert has_plain_keys(text) is plain


def test_a_long_list_of_small_numbers_takes_no_call_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    check = canonical.check

    def counted(value: object, pointer: str = "", depth: int = 0) -> None:
        calls.append(value)
        check(value, pointer, depth)

    monkeypatch.setattr(canonical, "check", counted)
    monkeypatch.setattr(canonical, "_parse_int", calls.append)
    parse(b"[" + b"0,-7,1.5,[]," * 1_000 + b"9]")
    assert len(calls) == 1


@pytest.mark.parametrize("item", [b"0", b'""', b"1.5", b"null", b"{}"])
def test_an_entry_of_the_deepest_list_is_too_deep_however_small(item: bytes) -> None:
    assert parse(b"[" * 64 + item + b"]" * 64)
    with pytest.raises(InvalidJson, match="deeper"):
        parse(b"[" * 65 + item + b"]" * 65)


@pytest.mark.parametrize("number", [b"9007199254740992", b"-9007199254740992", b"9007199254740992.0", b"1e400"])
def test_a_number_that_is_too_large_is_refused_among_small_ones(number: bytes) -> None:
    with pytest.raises(InvalidJson, match="too large") as caught:
        parse(b"[0, 1, " + number + b"]")
    assert caught.value.faults[0].pointer == "/2"
