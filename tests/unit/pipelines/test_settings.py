"""Settings: what the page shows is what is there, and a fault is named."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from recsys.domain.errors import InvalidRequest
from recsys.pipelines.settings import PipelineSettings, fingerprint, read_settings
from recsys.pipelines.window import FIXED_POINT
from tests.support.pipeline import WINDOW

PAGE = Path(__file__).parents[3] / "docs" / "pipelines.md"


def test_the_page_shows_every_setting_with_its_default() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert json.loads(shown) == msgspec.to_builtins(PipelineSettings())
    assert read_settings(shown.encode()) == PipelineSettings()


def test_an_unknown_or_ill_ranged_setting_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_settings(b'{"cooc": {"neighbors": 5}, "gates": {"max_drift": 2}}')
    assert {fault.pointer for fault in refused.value.faults} == {"/cooc/neighbors", "/gates/max_drift"}


def test_the_fingerprint_follows_the_meaning_not_the_spelling() -> None:
    assert fingerprint(read_settings(b'{"gates": {"max_drift": 0.50}}')) == fingerprint(PipelineSettings())
    assert fingerprint(read_settings(b'{"gates": {"max_drift": 0.4}}')) != fingerprint(PipelineSettings())


def test_a_day_s_weight_halves_with_each_half_life_and_never_becomes_nothing() -> None:
    decay = WINDOW.decay(3)
    last = max(decay)
    assert (decay[last], decay[last - 3], decay[last - 6]) == (FIXED_POINT, FIXED_POINT // 2, FIXED_POINT // 4)
    assert min(WINDOW.decay(0.1).values()) == 1
    assert set(WINDOW.decay(None).values()) == {FIXED_POINT}
