"""Going back: every form of rollback, the same on both databases."""

from collections.abc import Sequence
from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest

from recsys.control.manage_tenants import update_tenant
from recsys.control.outcome import DocumentOutcome
from recsys.control.read_audit import read_audit
from recsys.control.read_document import read_document
from recsys.control.read_history import label_revision, read_history
from recsys.control.roll_back import RollbackRequest, roll_back_document, roll_back_tenant
from recsys.domain.access import Actor
from recsys.domain.errors import (
    ConfigNotFound,
    InvalidRequest,
    PreconditionRequired,
    Unprocessable,
    VersionMismatch,
    VersionNotFound,
)
from recsys.domain.precondition import Preconditions
from recsys.domain.tenant import Tenant, TenantSettings
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database
from tests.support.clock import FakeClock
from tests.support.documents import ANYTHING, CONFIG, HOME, RULES, config, manifest, put, version_of


@pytest.fixture
async def versions(store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant) -> list[str]:
    """Three configs, an hour apart; the third is current."""
    made = []
    for pop in (1, 2, 3):
        made.append(version_of(await put(store, actor, tenant, config(pop))))
        clock.pass_by(hours=1)
    return made


async def back(
    store: SqlControlStore,
    actor: Actor,
    tenant: Tenant,
    preconditions: Preconditions = ANYTHING,
    key: str | None = None,
    **target: Any,
) -> DocumentOutcome:
    request = msgspec.convert(target, RollbackRequest)
    return await roll_back_document(store, actor, tenant.id, CONFIG, request, preconditions, key)


async def test_back_to_a_version(store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]) -> None:
    outcome = await back(store, actor, tenant, to=versions[0], reason="empty lists")

    assert outcome.changed
    assert version_of(outcome) == versions[0]
    assert outcome.pointer is not None
    assert outcome.pointer.revision == 4
    entry = (await read_history(store, tenant.id, 1, None))[0]
    assert (entry.action, entry.reason) == ("config.rollback", "empty lists")
    audit = (await read_audit(store, tenant.id, 1, None))[0]
    assert audit.action == "config.rollback"
    assert audit.before_state is not None
    assert bytes(audit.before_state) == b'{"weights":{"pop":3}}'


async def test_back_to_a_revision_a_time_and_an_audit_entry(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    assert version_of(await back(store, actor, tenant, revision=2)) == versions[1]
    then = (await read_history(store, tenant.id, 10, None))[-1].occurred_at + timedelta(minutes=1)
    assert version_of(await back(store, actor, tenant, at=then)) == versions[0]
    bad_change = next(entry for entry in await read_audit(store, tenant.id, 50, None) if entry.revision == 3)
    assert version_of(await back(store, actor, tenant, audit_id=bad_change.id)) == versions[1]


async def test_steps_count_the_moves_of_this_document(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await put(store, actor, tenant, b"[]", ref=RULES)
    at_three = Preconditions(if_revision=3)

    assert version_of(await back(store, actor, tenant, at_three, steps=1)) == versions[1]
    again = await back(store, actor, tenant, Preconditions(if_match=frozenset({versions[1]})), steps=3)
    assert version_of(again) == versions[0]
    with pytest.raises(VersionNotFound):
        await back(store, actor, tenant, Preconditions(if_revision=6), steps=99)


async def test_blind_steps_are_refused_and_a_key_makes_them_repeatable(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    with pytest.raises(PreconditionRequired):
        await back(store, actor, tenant, steps=1)
    for whatever in ({"*"}, {"*", versions[2]}, {versions[1], versions[2]}):
        with pytest.raises(PreconditionRequired, match="If-Match with one version"):
            await back(store, actor, tenant, Preconditions(if_match=frozenset(whatever)), steps=1)
    with pytest.raises(PreconditionRequired):
        await back(store, actor, tenant, Preconditions(if_none_match=True), steps=1)

    first = await back(store, actor, tenant, key="incident-7", steps=1)
    retry = await back(store, actor, tenant, key="incident-7", steps=1)

    assert (first.changed, retry.changed) == (True, False)
    assert version_of(retry) == version_of(first) == versions[1]


async def test_steps_from_a_named_version_are_not_gone_twice(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    third = Preconditions(if_match=frozenset({versions[2]}))
    assert version_of(await back(store, actor, tenant, third, steps=1)) == versions[1]
    with pytest.raises(VersionMismatch):
        await back(store, actor, tenant, third, steps=1)


async def test_before_the_first_version_means_cleared(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    outcome = await back(store, actor, tenant, revision=0)

    assert outcome.changed
    assert outcome.pointer is None
    with pytest.raises(ConfigNotFound):
        await read_document(store, tenant.id, CONFIG)
    assert version_of(await back(store, actor, tenant, revision=3)) == versions[2]


async def test_a_rollback_honours_preconditions_and_freeze(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await update_tenant(store, actor, tenant.id, TenantSettings(frozen=True))
    with pytest.raises(VersionMismatch):
        await back(store, actor, tenant, Preconditions(if_match=frozenset({versions[0]})), to=versions[1])

    assert (await back(store, actor, tenant, to=versions[1])).changed
    assert not (await back(store, actor, tenant, to=versions[1])).changed


async def test_known_good_is_the_latest_revision_with_the_label(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    with pytest.raises(VersionNotFound):
        await back(store, actor, tenant, to="known_good")
    for revision in (1, 2, 2):
        entry = await label_revision(store, actor, tenant.id, revision, "known_good")
        assert entry.labels == ["known_good"]

    assert version_of(await back(store, actor, tenant, to="known_good")) == versions[1]


async def test_a_label_can_be_taken_off_again(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    for revision in (1, 2):
        await label_revision(store, actor, tenant.id, revision, "known_good")
    entry = await label_revision(store, actor, tenant.id, 2, "known_good", present=False)
    await label_revision(store, actor, tenant.id, 2, "known_good", present=False)
    assert entry.labels == []

    assert version_of(await back(store, actor, tenant, to="known_good")) == versions[0]
    actions = [entry.action for entry in await read_audit(store, tenant.id, 4, None)]
    assert actions == ["config.rollback", "revision.unlabel", "revision.label", "revision.label"]


async def test_a_time_before_the_tenant_is_a_mistake_and_not_an_empty_state(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    before = tenant.created_at - timedelta(days=1)
    with pytest.raises(Unprocessable, match="exists since"):
        await back(store, actor, tenant, at=before)
    with pytest.raises(Unprocessable, match="exists since"):
        await roll_back_tenant(store, actor, tenant.id, RollbackRequest(at=before), ANYTHING)


async def test_a_time_in_the_future_is_a_mistaken_zone_and_not_where_everything_is_already(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    east = timezone(timedelta(hours=2))
    meant_in_utc = (clock.now() - timedelta(hours=1)).astimezone(east).replace(tzinfo=UTC)
    said = "Understood as 2026-01-01T04:00:00.00:00, which is in the future: here it is 2026-01-01T03:00:00.00:00"
    with pytest.raises(Unprocessable, match=said):
        await back(store, actor, tenant, at=meant_in_utc)
    with pytest.raises(Unprocessable, match=said):
        await roll_back_tenant(store, actor, tenant.id, RollbackRequest(at=meant_in_utc), ANYTHING)

    assert not (await back(store, actor, tenant, at=clock.now() + timedelta(seconds=59))).changed


async def test_a_time_is_refused_while_nobody_knows_what_stood_then_since_a_clock_was_ahead(
    store: SqlControlStore, database: Database, clock: FakeClock, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    ahead = FakeClock()
    ahead.pass_by(days=1)
    before = clock.now()
    await put(SqlControlStore(database, ahead), actor, tenant, config(4))
    await put(store, actor, tenant, config(5))
    then = clock.pass_by(minutes=5)
    clock.pass_by(minutes=5)
    await put(store, actor, tenant, config(6))

    said = "A clock was ahead when revision 4 was made, .* until 2026-01-02T00:00:00.00:00"
    with pytest.raises(Unprocessable, match=said) as refused:
        await back(store, actor, tenant, at=then)
    assert [fault.pointer for fault in refused.value.faults] == ["/at"]
    with pytest.raises(Unprocessable, match=said):
        await roll_back_tenant(store, actor, tenant.id, RollbackRequest(at=then), ANYTHING)
    known = before - timedelta(minutes=90)
    assert version_of(await back(store, actor, tenant, at=known)) == versions[1]


@pytest.mark.parametrize(
    "target", [{}, {"to": "x", "revision": 1}, {"audit_id": 1, "steps": 1}], ids=["none", "two", "other two"]
)
async def test_exactly_one_target(store: SqlControlStore, actor: Actor, tenant: Tenant, target: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable):
        await back(store, actor, tenant, **target)


@pytest.mark.parametrize("target", [{"to": "0" * 64}, {"revision": 99}, {"audit_id": 99_999}])
async def test_what_does_not_exist_is_not_found(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str], target: dict[str, Any]
) -> None:
    with pytest.raises(VersionNotFound):
        await back(store, actor, tenant, **target)


async def test_an_audit_entry_about_something_else_is_refused(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await put(store, actor, tenant, b"[]", ref=RULES)
    about_rules = (await read_audit(store, tenant.id, 1, None))[0]

    with pytest.raises(Unprocessable, match="is about rules, not about config"):
        await back(store, actor, tenant, audit_id=about_rules.id)


async def test_all_documents_go_back_together_at_one_revision(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    await put(store, actor, tenant, config(1))
    await put(store, actor, tenant, b"[]", ref=RULES)
    good = (await read_history(store, tenant.id, 1, None))[0]
    await put(store, actor, tenant, config(2))
    await put(store, actor, tenant, b'[{"action": "block", "target_type": "tag", "target_key": "x"}]', ref=RULES)
    await put(store, actor, tenant, manifest("a"), ref=HOME)

    outcome = await roll_back_tenant(store, actor, tenant.id, RollbackRequest(revision=good.revision), ANYTHING)

    assert (outcome.changed, outcome.revision) == (True, 6)
    assert [moved.document for moved in outcome.moved] == ["config", "rules", "manifest"]
    latest = (await read_history(store, tenant.id, 1, None))[0]
    assert (latest.pointers, latest.action) == (good.pointers, "tenant.rollback")
    newest = await read_audit(store, tenant.id, 3, None)
    assert {entry.action for entry in newest} == {"config.rollback", "rules.rollback", "manifest.rollback"}
    assert {entry.revision for entry in newest} == {6}
    again = await roll_back_tenant(store, actor, tenant.id, RollbackRequest(revision=good.revision), ANYTHING)
    assert (again.changed, again.revision) == (False, 6)


async def test_a_tenant_wide_rollback_honours_if_revision_and_refuses_if_match(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    first = RollbackRequest(revision=1)
    with pytest.raises(VersionMismatch, match="The tenant is at revision 3, and If-Revision says 2"):
        await roll_back_tenant(store, actor, tenant.id, first, Preconditions(if_revision=2))
    with pytest.raises(InvalidRequest):
        await roll_back_tenant(store, actor, tenant.id, first, Preconditions(if_match=frozenset({versions[0]})))
    with pytest.raises(Unprocessable):
        await roll_back_tenant(store, actor, tenant.id, RollbackRequest(to=versions[0]), ANYTHING)

    assert (await roll_back_tenant(store, actor, tenant.id, first, Preconditions(if_revision=3))).changed


async def test_a_key_stands_for_one_request_and_answers_as_of_then(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    first = await back(store, actor, tenant, key="k", to=versions[0])
    await put(store, actor, tenant, config(9))

    retry = await back(store, actor, tenant, key="k", to=versions[0])
    assert first.pointer is not None
    assert retry.pointer is not None
    assert (retry.changed, retry.pointer.version, retry.pointer.revision) == (False, first.pointer.version, 4)
    with pytest.raises(Unprocessable, match="another request"):
        await back(store, actor, tenant, key="k", to=versions[1])
    with pytest.raises(Unprocessable, match="another request"):
        await roll_back_tenant(store, actor, tenant.id, RollbackRequest(revision=1), ANYTHING, "k")


async def test_a_repeated_rollback_that_moved_nothing_names_who_moved_this_document(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    bob = msgspec.structs.replace(actor, sub="bob")
    await put(store, bob, tenant, b"[]", ref=RULES)

    first = await back(store, bob, tenant, key="k", to=versions[2])
    retry = await back(store, bob, tenant, key="k", to=versions[2])

    assert first.pointer is not None
    assert (first.pointer.revision, first.pointer.updated_by_sub) == (3, "ann")
    assert retry.pointer == first.pointer


async def test_a_repeated_rollback_to_nothing_is_answered_with_nothing(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    assert (await back(store, actor, tenant, key="k", revision=0)).changed
    await put(store, actor, tenant, b"[]", ref=RULES)

    retry = await back(store, actor, tenant, key="k", revision=0)
    assert (retry.changed, retry.pointer, retry.live) == (False, None, True)


async def test_a_key_of_a_rollback_that_moved_nothing_is_remembered_too(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    assert not (await back(store, actor, tenant, key="k", to=versions[2])).changed
    await put(store, actor, tenant, config(9))

    assert not (await back(store, actor, tenant, key="k", to=versions[2])).changed
    assert (await read_document(store, tenant.id, CONFIG)).version.text == '{"weights":{"pop":9}}'


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_times_that_do_not_exist_in_utc_are_refused(
    store: SqlControlStore, actor: Actor, tenant: Tenant, at: str
) -> None:
    with pytest.raises(InvalidRequest, match="out of range"):
        await back(store, actor, tenant, at=at)
