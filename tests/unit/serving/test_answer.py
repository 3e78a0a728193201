from __future__ import annotations

from typing import Any

import msgspec
import pytest

from recsys.domain.config import Config
from recsys.domain.errors import ExplainTooLarge, InvalidRequest
from recsys.domain.history import Pointers
from recsys.domain.recommend import SimilarRequest
from recsys.domain.tenant import Tenant
from recsys.serving.answer import recommend, similar, validate
from recsys.serving.snapshot import DocumentPart, Snapshot, build_part, compose
from tests.support.surfaces import NOW, item, request, rows

TENANT = Tenant(id="t", external_id="shop", name="Shop", created_at=NOW)


def snapshot(config: dict[str, Any] | None = None) -> Snapshot:
    documents = DocumentPart(7, Pointers(config="c" * 64), msgspec.convert(config or {}, Config), ())
    parts = {"home": build_part(rows([item("a"), item("b")], {"a": 2.0}, {("a", "b"): 1.0}))}
    return compose(TENANT, documents, parts, None, data_revision=3, now=NOW)


def call(function: Any, asked: Any, shot: Snapshot | None = None, **more: Any) -> Any:
    return function(shot or snapshot(), asked, **({"request_id": "r-1", "now": NOW, "stale": False} | more))


def test_an_answer_names_what_produced_it() -> None:
    meta = call(recommend, request()).meta
    assert (meta.tenant_id, meta.revision, meta.data_revision, meta.request_id) == ("t", 7, 3, "r-1")
    assert (meta.config_version, meta.rules_version, meta.manifest_version) == ("c" * 64, None, None)
    assert meta.algo_version == "recsys-1"
    assert meta.counts["returned"] == 2


def test_an_unknown_surface_is_empty_with_a_warning() -> None:
    found = call(recommend, request(surface="nowhere"))
    assert found.items == []
    assert [each.code for each in found.warnings] == ["SIGNAL_UNAVAILABLE"]


@pytest.mark.parametrize("function", [recommend, validate])
def test_stale_answers_say_so(function: Any) -> None:
    assert call(function, request(), stale=True).warnings[-1].code == "STALE_CONTROL_PLANE"


@pytest.mark.parametrize("function", [recommend, validate])
def test_limits_of_the_config_are_named(function: Any) -> None:
    shot = snapshot({"limits": {"max_k": 5, "max_exclude_ids": 0}})
    with pytest.raises(InvalidRequest, match=r"limits\.max_exclude_ids") as caught:
        call(function, request(candidates={"exclude_ids": ["a"]}), shot)
    assert [each.pointer for each in caught.value.faults] == ["/candidates/exclude_ids"]


@pytest.mark.parametrize("function", [recommend, validate])
def test_k_is_lowered_to_the_limit_and_the_answer_says_so(function: Any) -> None:
    found = call(function, request(k=6), snapshot({"limits": {"max_k": 1}}))
    assert "limits.max_k" in next(each.detail for each in found.warnings if each.code == "DEFAULT_APPLIED")
    if function is recommend:
        assert len(found.items) == 1


def test_full_explanations_of_long_lists_are_refused() -> None:
    with pytest.raises(ExplainTooLarge):
        call(recommend, request(k=51, options={"explain": "full"}))
    call(recommend, request(k=50, options={"explain": "full"}))


def test_similar() -> None:
    found = call(similar, SimilarRequest(surface="home", item_id="a"))
    assert [each.item_id for each in found.items] == ["b"]
    assert call(similar, SimilarRequest(surface="nowhere", item_id="a")).items == []


def test_validate_spells_out_what_is_understood() -> None:
    found = call(validate, request(weights={"pop": 2}))
    wish = found.normalized_request
    assert wish["weights"] == {"pop": 2.0, "cooc": 0.0, "emb": 0.0}
    assert (wish["k"], wish["segment"], wish["algorithm"]) == (20, "default", "blend")
    assert wish["user"] == {"user_id": "u"}
    assert wish["context"]["now"].startswith("2026-03-01T12:00")
    assert {each.code for each in found.warnings} == {"DEFAULT_APPLIED"}
    assert found.meta.revision == 7
    assert msgspec.json.encode(found)


def test_validate_does_not_warn_of_what_was_given() -> None:
    given = request(segment="vip", k=3, algorithm="blend", weights={"pop": 1}, context={"now": NOW.isoformat()})
    assert call(validate, given).warnings == []
