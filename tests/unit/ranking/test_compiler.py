from __future__ import annotations

from typing import Any

import numba
import pytest

from recsys.ranking.compiler import compiled_for_threads, compiled_raw


@pytest.mark.parametrize("compiler", [compiled_raw, compiled_for_threads])
def test_where_machine_code_cannot_be_kept_it_is_made_all_the_same(
    compiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = numba.njit

    def without_a_place(*functions: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return original(*functions, **options)

    monkeypatch.setattr(numba, "njit", without_a_place)

    assert compiler(lambda number: number + 1)(2) == 3
