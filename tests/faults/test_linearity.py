"""The judge of the other tests here can say no."""

import pytest

from tests.support.linearity import Entry, Read, Write, contradictions

LEDGER = [Entry(1, "a"), Entry(2, "b")]
FIRST, SECOND = Write("a", 0, 0.0, 1.0, 1), Write("b", 1, 2.0, 3.0, 2)


def test_a_history_that_can_have_happened_has_no_contradictions() -> None:
    refused = Write("c", 0, 1.5, 2.0, None)
    reads = [Read(0.5, 1.5, 1), Read(0.1, 0.2, 0), Read(2.5, 2.6, 1), Read(2.5, 2.6, 2)]

    assert list(contradictions(LEDGER, [FIRST, SECOND, refused], reads)) == []


@pytest.mark.parametrize(
    ("writes", "reads", "said"),
    [
        ([FIRST, Write("b", 0, 2.0, 3.0, 2)], [], "a lost update"),
        ([FIRST], [], "which nobody was told"),
        ([FIRST, SECOND, Write("c", 2, 4.0, 5.0, 3)], [], "not in the ledger"),
        ([FIRST, Write("b", 1, 2.0, 3.0, 9)], [], "was told revision 9"),
        ([FIRST, SECOND], [Read(3.1, 3.2, 1)], "before an earlier one began"),
        ([FIRST, SECOND], [Read(0.1, 0.2, 2)], "before an earlier one began"),
        ([FIRST, SECOND], [Read(4.0, 5.0, 7)], "never written"),
        ([FIRST, SECOND, Write("c", 2, 4.0, 5.0, None)], [], "was current all the time"),
        ([Write("a", 0, 4.0, 5.0, 1), SECOND], [], "before an earlier one began"),
    ],
    ids=["lost update", "nobody", "lost write", "revision", "stale", "early", "invented", "refused", "backwards"],
)
def test_each_contradiction_is_named(writes: list[Write], reads: list[Read], said: str) -> None:
    assert any(said in each for each in contradictions(LEDGER, writes, reads))
