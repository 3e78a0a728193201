"""docs/settings.md says what the code does."""

from pathlib import Path

from recsys.bootstrap.settings import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_settings_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "regenerate it: python -m recsys.bootstrap.settings > docs/settings.md"
    )
