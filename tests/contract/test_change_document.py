"""Changing documents: compare, set, record; the same on both databases."""

import asyncio
import json

import pytest

from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.control.outcome import DocumentOutcome
from recsys.control.read_audit import read_audit
from recsys.control.read_document import diff_versions, list_versions, read_document
from recsys.control.read_history import read_history
from recsys.domain.access import Actor
from recsys.domain.audit import AuditRecord
from recsys.domain.document import DocumentRef, Draft
from recsys.domain.errors import (
    ConfigNotFound,
    Frozen,
    InvalidRequest,
    PreconditionFailed,
    PreconditionRequired,
    Unprocessable,
    VersionMismatch,
)
from recsys.domain.ports import Move
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import Tenant, TenantSettings
from recsys.storage.control_store import SqlControlStore
from tests.support.clock import FakeClock
from tests.support.documents import CONFIG, HOME, RULES, config, manifest, put, version_of

STALE = Preconditions(if_revision=77)


async def test_a_first_put_makes_version_ledger_row_pointer_and_audit_entry(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    outcome = await put(store, actor, tenant, b'{"weights": {"pop": 1.0}}')

    assert outcome.changed
    pointer = await read_document(store, tenant.id, CONFIG)
    assert pointer.version.text == '{"weights":{"pop":1}}'
    assert (pointer.revision, pointer.updated_by_sub) == (1, "ann")
    (entry,) = await read_history(store, tenant.id, 10, None)
    assert (entry.revision, entry.action, entry.pointers.config) == (1, "config.update", pointer.version.etag)
    (audit, created) = await read_audit(store, tenant.id, 10, None)
    assert (audit.action, audit.revision, audit.before_state) == ("config.update", 1, None)
    assert audit.after_state is not None
    assert bytes(audit.after_state) == b'{"weights":{"pop":1}}'
    assert (audit.request_id, audit.ip, audit.user_agent) == ("req-1", "127.0.0.1", "tests")
    assert created.action == "tenant.create"


async def test_before_state_is_what_was_really_there(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    await put(store, actor, tenant, config(1))
    await put(store, actor, tenant, config(2))

    audit = (await read_audit(store, tenant.id, 1, None))[0]

    assert audit.before_state is not None
    assert bytes(audit.before_state) == b'{"weights":{"pop":1}}'
    extra = json.loads(bytes(audit.extra))
    assert {"before_version", "after_version"} == set(extra)


async def test_a_change_that_fails_late_leaves_nothing(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    """Ledger row, pointer and audit entry live and die together."""
    before = (await read_audit(store, tenant.id, 10, None), await read_history(store, tenant.id, 10, None))

    async def fail_late() -> None:
        async with store.changing(tenant.id, actor) as transaction:
            draft = Draft(etag="0" * 64, text="{}", comment=None)
            move = Move(ref=CONFIG, before=None, after=draft)
            record = AuditRecord(action="config.update", entity_type="config", entity_id="config")
            await transaction.move([move], action="config.update", records=[record])
            raise RuntimeError("after everything was written")

    with pytest.raises(RuntimeError, match="after everything"):
        await fail_late()

    assert (await read_audit(store, tenant.id, 10, None), await read_history(store, tenant.id, 10, None)) == before
    with pytest.raises(ConfigNotFound):
        await read_document(store, tenant.id, CONFIG)


async def test_the_same_payload_again_changes_nothing(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    first = await put(store, actor, tenant, config(1))

    again = await put(
        store, actor, tenant, config(1.0), preconditions=Preconditions(if_match=frozenset({"stale"}), if_revision=77)
    )

    assert not again.changed
    assert again.pointer == first.pointer
    assert len(await read_audit(store, tenant.id, 10, None)) == 2


async def test_a_stale_if_match_is_a_mismatch_that_says_who_when_and_what(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    first = await put(store, actor, tenant, config(1))
    second = await put(store, actor, tenant, config(2))

    with pytest.raises(VersionMismatch) as caught:
        await put(store, actor, tenant, config(3), preconditions=Preconditions(if_match=frozenset({version_of(first)})))

    assert caught.value.extra["current_version"] == version_of(second)
    assert caught.value.extra["current_revision"] == 2
    assert caught.value.extra["updated_by"] == "ann"
    assert caught.value.extra["differs"] == ["/weights/pop"]
    assert len(await read_history(store, tenant.id, 10, None)) == 2


async def test_if_revision_sees_what_a_hash_cannot(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    first = await put(store, actor, tenant, config(1))
    await put(store, actor, tenant, config(2))
    back = await put(store, actor, tenant, config(1))
    assert version_of(back) == version_of(first)
    by_hash = Preconditions(if_match=frozenset({version_of(first)}))

    with pytest.raises(VersionMismatch):
        await put(store, actor, tenant, config(3), preconditions=Preconditions(if_revision=1))

    assert (await put(store, actor, tenant, config(3), preconditions=by_hash)).changed


async def test_if_none_match_is_for_the_first_version_only(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    first = Preconditions(if_none_match=True)
    await put(store, actor, tenant, config(1), preconditions=first)

    with pytest.raises(PreconditionFailed):
        await put(store, actor, tenant, config(1), preconditions=first)


async def test_a_tenant_may_require_preconditions(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    await update_tenant(store, actor, tenant.id, TenantSettings(require_if_match=True))

    with pytest.raises(PreconditionRequired):
        await put(store, actor, tenant, config(1))
    assert (await put(store, actor, tenant, config(1), preconditions=Preconditions(if_revision=0))).changed


async def test_a_frozen_tenant_refuses_changes(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    await put(store, actor, tenant, config(1))
    await update_tenant(store, actor, tenant.id, TenantSettings(frozen=True))

    with pytest.raises(Frozen):
        await put(store, actor, tenant, config(2))
    assert not (await put(store, actor, tenant, config(1))).changed


async def test_wrong_documents_are_refused_and_leave_no_trace(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    with pytest.raises(InvalidRequest):
        await put(store, actor, tenant, b'{"wieghts": {}}')
    with pytest.raises(Unprocessable):
        await put(store, actor, tenant, config(-1))
    with pytest.raises(Unprocessable):
        await put(store, actor, tenant, manifest("a", surface="pdp"), ref=HOME)
    with pytest.raises(Unprocessable):
        await put(store, actor, tenant, manifest("a", tenant="other"), ref=HOME)

    with pytest.raises(ConfigNotFound):
        await read_document(store, tenant.id, CONFIG)
    assert await read_history(store, tenant.id, 10, None) == []


async def test_the_three_documents_move_alone_and_the_ledger_has_them_together(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    one = version_of(await put(store, actor, tenant, config(1)))
    two = version_of(await put(store, actor, tenant, b"[]", ref=RULES))
    three = version_of(await put(store, actor, tenant, manifest("a"), ref=HOME))
    pdp = DocumentRef("manifest", "pdp")
    four = version_of(await put(store, actor, tenant, manifest("a", surface="pdp"), ref=pdp))

    latest = (await read_history(store, tenant.id, 1, None))[0]

    assert latest.revision == 4
    assert (latest.pointers.config, latest.pointers.rules) == (one, two)
    assert latest.pointers.manifests == {"home": three, "pdp": four}
    assert [each.version for each in await list_versions(store, tenant.id, HOME, 10, None)] == [three]


async def test_the_diff_of_two_versions(store: SqlControlStore, actor: Actor, tenant: Tenant) -> None:
    old = version_of(await put(store, actor, tenant, config(1)))
    await put(store, actor, tenant, b'{"weights": {"pop": 2}, "algorithm": "cooc"}')

    diff = await diff_versions(store, tenant.id, CONFIG, old, "current")

    assert [(each.op, each.pointer) for each in diff.differences] == [
        ("added", "/algorithm"),
        ("changed", "/weights/pop"),
    ]
    assert diff.total == 2


async def test_what_differs_in_more_places_than_an_answer_names_is_counted(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    def guard(value: int) -> bytes:
        return json.dumps({"guard": {"x": [value] * 1_500}}).encode()

    old = version_of(await put(store, actor, tenant, guard(1)))
    await put(store, actor, tenant, guard(2))

    diff = await diff_versions(store, tenant.id, CONFIG, old, "current")
    with pytest.raises(VersionMismatch) as refused:
        await put(store, actor, tenant, guard(3), preconditions=Preconditions(if_match=frozenset({old})))

    assert (len(diff.differences), diff.total) == (1_000, 1_500)
    assert diff.differences[-1].pointer == "/guard/x/999"
    assert refused.value.extra["differs"] == [f"/guard/x/{at}" for at in range(50)]


async def test_of_many_concurrent_writers_with_one_if_match_one_wins(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    first = await put(store, actor, tenant, config(0))
    same = Preconditions(if_match=frozenset({version_of(first)}))

    results = await asyncio.gather(
        *(put(store, actor, tenant, config(n), preconditions=same) for n in range(1, 33)), return_exceptions=True
    )

    assert sum(isinstance(result, DocumentOutcome) for result in results) == 1
    assert sum(isinstance(result, VersionMismatch) for result in results) == 31
    assert len(await read_history(store, tenant.id, 10, None)) == 2


async def test_tenants_do_not_see_each_other(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant
) -> None:
    other = await create_tenant(store, clock, actor, "other")
    await put(store, actor, tenant, config(1))

    with pytest.raises(ConfigNotFound):
        await read_document(store, other.id, CONFIG)
    assert await read_history(store, other.id, 10, None) == []
    assert (await put(store, actor, other, config(1))).changed


async def test_the_ledgers_time_never_runs_backwards(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant
) -> None:
    await put(store, actor, tenant, config(1))
    clock.pass_by(hours=-1)
    await put(store, actor, tenant, config(2))

    newest, oldest = await read_history(store, tenant.id, 10, None)

    assert newest.occurred_at >= oldest.occurred_at


async def test_rules_are_stored_as_they_were_sent_and_compared_by_what_they_say(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    block = '{"action":"block","target_key":"x","target_type":"tag"}'
    enveloped = version_of(await put(store, actor, tenant, f'{{"rules": [{block}]}}'.encode(), ref=RULES))
    assert (await read_document(store, tenant.id, RULES)).version.text == f'{{"rules":[{block}]}}'
    with pytest.raises(VersionMismatch) as caught:
        await put(store, actor, tenant, f"[{block}, {block}]".encode(), ref=RULES, preconditions=STALE)
    assert caught.value.extra["differs"] == ["/1"]
    with pytest.raises(VersionMismatch) as caught:
        await put(store, actor, tenant, b'{"rules": []}', ref=RULES, preconditions=STALE)
    assert caught.value.extra["differs"] == ["/rules/0"]
    plain = await put(store, actor, tenant, f"[{block}]".encode(), ref=RULES)
    assert plain.changed
    assert (await diff_versions(store, tenant.id, RULES, enveloped, "current")).differences == []


@pytest.mark.parametrize("body", [b'{"rules": [], "more": 1}', b'{"rules": {}}'])
async def test_what_is_no_envelope_is_not_taken_for_one(
    store: SqlControlStore, actor: Actor, tenant: Tenant, body: bytes
) -> None:
    """Not even where what it holds is stored already, and would need no check."""
    await put(store, actor, tenant, b"[]", ref=RULES)

    with pytest.raises(InvalidRequest):
        await put(store, actor, tenant, body, ref=RULES)
