"""Tables on terminals of any width: what is copied stays in one piece, nothing is lost, nothing trails."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from recsys.cli import views

CONFIG, RULES = "989813ab1d0c" + "0" * 52, "1d0c209898a1" + "0" * 52
AT = "2026-11-23T00:24:39.123Z"


def _shown(view: RenderableType, width: int) -> list[str]:
    said = StringIO()
    Console(width=width, file=said).print(view, soft_wrap=True)
    lines = said.getvalue().splitlines()
    assert lines == [line.rstrip() for line in lines]
    return lines


def _revision(number: int, reason: str | None, **members: Any) -> dict[str, Any]:
    pointers = {"config": CONFIG, "rules": RULES, "manifests": {}}
    who = {"actor_sub": "alice", "actor_type": "api_key", "action": "rules.update"}
    return {
        "revision": number,
        "occurred_at": AT,
        "pointers": pointers,
        "labels": [],
        "reason": reason,
        **who,
        **members,
    }


HISTORY = {"entries": [_revision(12, "a reason that is too long for a line, as good reasons are"), _revision(11, None)]}


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_history_fits_and_keeps_versions_whole(width: int) -> None:
    lines = _shown(views.history(HISTORY), width)
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.startswith("12 "))
    assert CONFIG[:12] in row
    assert RULES[:12] in row
    assert "00:24:39Z" in row
    words = " ".join(" ".join(lines).split())
    assert "too long for a line, as good reasons are" in words
    assert "alice" in words


def test_a_usual_revision_is_one_line_of_eighty_columns() -> None:
    assert _shown(views.history({"entries": [_revision(11, None)]}), 80)[1:] == [
        "11   11-23 00:24:39Z  alice  rules.update  989813ab1d0c  1d0c209898a1"
    ]


def test_a_row_is_one_full_line_where_there_is_room() -> None:
    lines = _shown(views.history(HISTORY), 10_000)
    assert len(lines) == 3
    assert "2026-11-23 00:24:39Z" in lines[1]


def test_columns_that_are_empty_in_every_row_are_left_out() -> None:
    heading = _shown(views.history({"entries": [_revision(11, None)]}), 200)[0]
    assert "manifests" not in heading
    assert "labels" not in heading
    assert "reason" not in heading


def test_an_audit_entry_is_one_line_and_leaves_the_request_out() -> None:
    entry = {"id": 7, "occurred_at": AT, "actor_sub": "alice", "actor_type": "cli", "action": "rules.update"}
    entry |= {"entity_type": "rules", "entity_id": "rules", "revision": 3, "request_id": "x" * 32}
    lines = _shown(views.audit({"entries": [{**entry, "extra": {"reason": "sale"}}]}), 66)
    assert lines[1:] == ["7   11-23 00:24:39Z  alice  rules.update  rules   3    sale"]


@pytest.mark.parametrize("width", [60, 80])
def test_what_cannot_fit_is_never_cut(width: int) -> None:
    moved = [{"document": "rules", "surface": None, "from_version": CONFIG, "to_version": RULES}]
    words = " ".join(_shown(views.moves({"revision": 3, "moved": moved}), width)).split()
    assert {CONFIG, RULES} <= set(words)


def test_yes_and_no_are_words_of_people() -> None:
    assert _shown(views.tenant({"frozen": False, "require_if_match": True, "name": None}), 80) == [
        "frozen            no",
        "require if match  yes",
        "name              –",
    ]
