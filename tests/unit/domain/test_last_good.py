"""What is kept of the control plane: what was good before, and whose reading is the newer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from recsys.domain.canonical import content_hash
from recsys.domain.document import DocumentRef
from recsys.domain.history import Pointers
from recsys.domain.last_good import KeptDocuments, LastGood, advance, newest, says_the_same
from recsys.domain.ports import Overview, TenantDocuments, TenantHead
from recsys.domain.tenant import Tenant

CONFIG, RULES = DocumentRef("config"), DocumentRef("rules")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def seen(revision: int, **texts: str) -> TenantDocuments:
    by_ref = {DocumentRef(name): text for name, text in texts.items()}
    versions = {name: content_hash(text) for name, text in texts.items()}
    pointers = Pointers(config=versions.get("config"), rules=versions.get("rules"))
    return TenantDocuments(tenant_id="t", revision=revision, pointers=pointers, texts=by_ref)


def is_readable(_: DocumentRef, text: str) -> bool:
    return text != "strange"


def kept_of(*states: TenantDocuments) -> KeptDocuments:
    kept = None
    for number, state in enumerate(states):
        kept = advance(kept, state, at(number), is_readable)
    assert kept is not None
    return kept


def test_what_was_replaced_stands_behind_what_is_current() -> None:
    documents = kept_of(seen(1, config="a", rules="r"), seen(2, config="b", rules="r")).documents()
    assert documents.copied
    assert documents.revision == 2
    assert documents.texts == {CONFIG: "b", RULES: "r"}
    assert documents.earlier is not None
    assert documents.earlier.texts == {CONFIG: "a", RULES: "r"}
    assert documents.earlier.pointers.config == content_hash("a")


def test_a_document_that_cannot_be_read_does_not_become_what_was_good() -> None:
    kept = kept_of(seen(1, config="a"), seen(2, config="strange", rules="r"), seen(3, config="b", rules="s"))
    earlier = kept.documents().earlier
    assert earlier is not None
    assert earlier.texts == {CONFIG: "a", RULES: "r"}


def test_nothing_is_made_up_where_no_good_state_is_known() -> None:
    kept = kept_of(seen(1, config="strange"), seen(2, config="b"))
    assert kept.before is None
    assert kept.documents().earlier is None


def test_no_document_can_be_what_was_good() -> None:
    earlier = kept_of(seen(0), seen(1, config="strange")).documents().earlier
    assert earlier is not None
    assert earlier.texts == {}


def test_seeing_the_same_documents_again_keeps_what_was_before_them() -> None:
    kept = kept_of(seen(1, config="a"), seen(2, config="b"), seen(4, config="b"))
    assert (kept.revision, kept.before) == (4, Pointers(config=content_hash("a")))
    assert set(kept.texts.values()) == {"a", "b"}, "and texts of older states are forgotten"


def state(seconds: float, *documents: KeptDocuments, name: str = "demo") -> LastGood:
    tenants = [Tenant(id=each.tenant_id, external_id=name, name=name, created_at=T0) for each in documents]
    heads = [TenantHead(tenant=tenant, surfaces={}) for tenant in tenants]
    return LastGood(read_at=at(seconds), overview=Overview(heads=heads, keys=[]), documents=list(documents))


def read_at(seconds: float, revision: int, text: str = "a", tenant_id: str = "t") -> KeptDocuments:
    kept = advance(None, seen(revision, config=text), at(seconds), is_readable)
    return msgspec.structs.replace(kept, tenant_id=tenant_id)


def test_what_was_read_later_stays_tenant_by_tenant() -> None:
    mine = state(9, read_at(1, 1), read_at(8, 8, tenant_id="u"), name="mine")
    theirs = state(5, read_at(4, 4), read_at(3, 3, tenant_id="u"), name="theirs")
    for found in (newest(mine, theirs), newest(theirs, mine)):
        assert [each.revision for each in found.documents] == [4, 8]
        assert found.overview.heads[0].tenant.name == "mine"
        assert found.read_at == at(9)


def test_a_lower_revision_that_was_read_later_is_a_restored_database() -> None:
    found = newest(state(9, read_at(9, 3)), state(5, read_at(5, 7)))
    assert [each.revision for each in found.documents] == [3]


def test_a_tenant_that_the_later_overview_does_not_have_is_gone() -> None:
    found = newest(state(9, read_at(1, 1)), state(5, read_at(1, 1), read_at(1, 1, tenant_id="u")))
    assert [each.tenant_id for each in found.documents] == ["t"]


def test_what_a_clock_dated_that_was_set_back_since_does_not_count() -> None:
    found = newest(state(9, read_at(9, 3)), state(4_000, read_at(4_000, 7)))
    assert [each.revision for each in found.documents] == [3]


def test_two_that_know_different_earlier_ones_do_not_write_in_turn() -> None:
    one = state(1, kept_of(seen(1, config="a"), seen(2, config="c")))
    other = state(2, kept_of(seen(1, config="b"), seen(2, config="c")))
    first = newest(one, other)
    assert says_the_same(first, other)
    assert says_the_same(newest(first, other), newest(one, first))


@pytest.mark.parametrize("text", ["a", "b"])
def test_states_differ_by_what_they_say_and_not_by_when_it_was_read(text: str) -> None:
    assert says_the_same(state(1, read_at(1, 1)), state(2, read_at(2, 1, text))) is (text == "a")
