"""docs/quality.md shows what the bench has printed, and nothing else."""

import re
from pathlib import Path

import msgspec

from bench.quality import RESULTS, Table, markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quality.md"


def tables() -> list[Table]:
    return msgspec.json.decode((RESULTS / "quality.json").read_bytes(), type=list[Table])


def test_the_committed_page_is_made_of_the_committed_figures() -> None:
    assert (RESULTS / "quality.md").read_text(encoding="utf-8") == markdown(tables())


def test_the_document_quotes_the_tables_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    printed = markdown(tables()).partition("\n\n")[2]
    assert printed.strip() in text
    figures = set(re.findall(r"\d\.\d{4}", text))
    assert figures <= set(re.findall(r"\d\.\d{4}", printed))
