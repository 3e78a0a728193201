"""What is worked out before anybody asks."""

from __future__ import annotations

from recsys.domain.recommend import DEFAULT_SEGMENT
from tests.support.surfaces import NOW
from tests.unit.serving.test_answer import snapshot


def test_the_first_to_ask_does_not_wait_for_the_compiler() -> None:
    state = snapshot().surfaces["home"].state()
    (ready,) = state.rules.active(DEFAULT_SEGMENT, NOW).answers.values()
    assert [each.item_id for each in ready.items] == ["a", "b"]
