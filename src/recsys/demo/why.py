"""The tour's questions to one answer: why is this item in it, and why not that one?"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.demo.guide import Answer, Guide


@dataclass(frozen=True)
class Why:
    """Asks about the answer to ``request``, which is asked again with options that must not change it."""

    guide: Guide
    titles: Mapping[str, str]
    request: Mapping[str, Any]

    def this(self, answer: Answer) -> None:
        """Show what the score is made of, for the item of which there is most to tell."""
        explained = self._ask({"explain": "full", "include_reasons": True}, answer.rules_version)
        self.guide.hold("explaining does not change the answer", _plain(explained) == _plain(answer))
        item = max(explained.ranked(), key=lambda each: sum(value != 0 for value in _added(each)))
        self.guide.hold("its parts add up to its score", isclose(sum(_added(item)), item["score"]))
        self.guide.screen.explanation(item, self.titles)

    def not_the_next(self, answer: Answer) -> dict[str, Any]:
        """Show where the item fell out that would be next; what is said of it."""
        longer = {**self.request, "k": self.request["k"] + 1}
        next_one = self.guide.recommend(longer, rules_version=answer.rules_version).ranked()[-1]["item_id"]
        said = self.not_that(next_one, answer.rules_version)
        self.guide.hold("nothing is wrong with it but its rank", said["outcome"] == "below_top_k")
        return said

    def not_that(self, item_id: str, rules_version: str) -> dict[str, Any]:
        """Show where an item fell out under a version of the rules; what is said of it."""
        said = self._ask({"explain_item": item_id}, rules_version).explain_item or {}
        self.guide.require(f"something is said of {item_id}", said.get("item_id") == item_id)
        self.guide.screen.why_not(said, self.titles)
        return said

    def _ask(self, options: dict[str, Any], rules_version: str) -> Answer:
        return self.guide.recommend({**self.request, "options": options}, rules_version=rules_version)


def _added(item: Mapping[str, Any]) -> list[float]:
    """What each signal and step added to an item's score."""
    signals = item["explain"]["signals"]
    return [part["contribution"] if isinstance(part, dict) else part for part in signals.values()]


def _plain(answer: Answer) -> list[tuple[Any, ...]]:
    return [(each["item_id"], each["rank"], each["score"]) for each in answer.ranked()]
