"""Quarantine: what is known to be bad does not come back by accident, by whichever way; the same on both databases."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from recsys.control.change_document import change_document
from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.control.outcome import DocumentOutcome
from recsys.control.quarantine import (
    QuarantineOutcome,
    QuarantineRequest,
    lift_quarantine,
    list_quarantined,
    quarantine_version,
)
from recsys.control.read_audit import read_audit
from recsys.control.read_document import list_versions, read_document, read_version
from recsys.control.read_history import label_revision, read_history
from recsys.control.roll_back import RollbackRequest, roll_back_document, roll_back_tenant
from recsys.domain.access import Actor
from recsys.domain.audit import AuditEntry, AuditRecord
from recsys.domain.document import DocumentRef
from recsys.domain.errors import (
    Frozen,
    InvalidRequest,
    Unprocessable,
    VersionMismatch,
    VersionNotFound,
    VersionQuarantined,
)
from recsys.domain.precondition import Preconditions
from recsys.domain.quarantine import QuarantinedVersion
from recsys.domain.tenant import Tenant, TenantSettings
from recsys.storage.control_store import SqlControlStore
from tests.support.clock import FakeClock
from tests.support.documents import ANYTHING, CONFIG, HOME, RULES, config, manifest, put, version_of
from tests.support.shell import by_hand

WHY = QuarantineRequest(reason="empty lists")


@pytest.fixture
async def versions(store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant) -> list[str]:
    """Three configs, an hour apart; the third is current, the second of revision 2 is under quarantine."""
    made = []
    for pop in (1, 2, 3):
        made.append(version_of(await put(store, actor, tenant, config(pop))))
        clock.pass_by(hours=1)
    await mark(store, actor, tenant, made[1])
    return made


async def mark(
    store: SqlControlStore, actor: Actor, tenant: Tenant, version: str, ref: DocumentRef = CONFIG
) -> QuarantineOutcome:
    return await quarantine_version(store, actor, tenant.id, ref, version, WHY)


async def back(
    store: SqlControlStore,
    actor: Actor,
    tenant: Tenant,
    *,
    key: str | None = None,
    override: str | None = None,
    preconditions: Preconditions = ANYTHING,
    **target: Any,
) -> DocumentOutcome:
    request = msgspec.convert(target, RollbackRequest)
    return await roll_back_document(store, actor, tenant.id, CONFIG, request, preconditions, key, override)


async def put_second(store: SqlControlStore, actor: Actor, tenant: Tenant, override: str | None = None) -> str:
    """PUT of the content of the version under quarantine."""
    return version_of(await change_document(store, actor, tenant.id, CONFIG, config(2), ANYTHING, override))


async def actions(store: SqlControlStore, tenant: Tenant) -> list[str]:
    return [entry.action for entry in reversed(await read_audit(store, tenant.id, 200, None))]


def quarantined_in(refusal: VersionQuarantined) -> list[QuarantinedVersion]:
    return cast("list[QuarantinedVersion]", refusal.extra["quarantined"])


async def newest(store: SqlControlStore, tenant: Tenant) -> AuditEntry:
    return (await read_audit(store, tenant.id, 1, None))[0]


async def test_a_version_under_quarantine_says_so_wherever_it_is_read(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    found = (await read_version(store, tenant.id, CONFIG, versions[1])).quarantined

    assert found is not None
    assert (found.by, found.reason) == ("ann", "empty lists")
    listed = {each.version: each.quarantined for each in await list_versions(store, tenant.id, CONFIG, 10, None)}
    assert listed == {versions[0]: None, versions[1]: found, versions[2]: None}
    assert (await read_document(store, tenant.id, CONFIG)).version.quarantined is None
    (only,) = await list_quarantined(store, tenant.id)
    assert (only.document, only.surface, only.version, only.at) == ("config", None, versions[1], found.at)
    assert [entry.quarantined for entry in await read_history(store, tenant.id, 10, None)] == [[], ["config"], []]


async def test_putting_it_there_and_lifting_it_are_audited_once(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    entry = await newest(store, tenant)
    assert (entry.action, entry.entity_type, entry.entity_id) == ("config.quarantine", "config_version", versions[1])
    assert json.loads(bytes(entry.extra))["reason"] == "empty lists"
    before = await actions(store, tenant)

    bob = msgspec.structs.replace(actor, sub="bob")
    again = await quarantine_version(
        store, bob, tenant.id, CONFIG, versions[1], QuarantineRequest(reason="something else")
    )
    assert again.quarantined is not None
    assert (again.changed, again.quarantined.by, again.quarantined.reason) == (False, "ann", "empty lists")
    assert await actions(store, tenant) == before

    lifted = [await lift_quarantine(store, bob, tenant.id, CONFIG, versions[1]) for _ in range(2)]
    assert [(each.changed, each.quarantined) for each in lifted] == [(True, None), (False, None)]
    assert await actions(store, tenant) == [*before, "config.quarantine_lift"]
    state = (await newest(store, tenant)).before_state
    assert state is not None
    assert json.loads(bytes(state))["by"] == "ann"


async def test_neither_moves_anything(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await lift_quarantine(store, actor, tenant.id, CONFIG, versions[1])

    async with store.reading() as reader:
        assert (await reader.tenant(tenant.id)).revision == 3
    assert version_of(await put(store, actor, tenant, config(3))) == versions[2]


async def test_what_is_not_there_and_what_says_nothing_is_refused(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    other = await create_tenant(store, clock, actor, "other")
    for of, ref, version in (
        (tenant, CONFIG, "0" * 64),
        (tenant, RULES, versions[0]),
        (other, CONFIG, versions[0]),
    ):
        with pytest.raises(VersionNotFound):
            await mark(store, actor, of, version, ref)
        with pytest.raises(VersionNotFound):
            await lift_quarantine(store, actor, of.id, ref, version)
    with pytest.raises(InvalidRequest, match="/reason"):
        await quarantine_version(store, actor, tenant.id, CONFIG, versions[0], QuarantineRequest(reason=" \n"))
    assert len(await list_quarantined(store, tenant.id)) == 1


@pytest.mark.parametrize("way", ["to", "revision", "at", "audit_id", "steps", "put", "tenant revision", "tenant at"])
async def test_it_comes_back_by_no_way_without_an_override(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str], way: str
) -> None:
    second = (await read_history(store, tenant.id, 2, None))[1]
    to_third = next(each for each in await read_audit(store, tenant.id, 50, None) if each.revision == 3)
    targets: dict[str, Any] = {
        "to": {"to": f'"{versions[1].upper()}"'},
        "revision": {"revision": 2},
        "at": {"at": second.occurred_at},
        "audit_id": {"audit_id": to_third.id},
        "steps": {"steps": 1, "preconditions": Preconditions(if_revision=3)},
    }

    async def apply(override: str | None) -> None:
        if way == "put":
            await put_second(store, actor, tenant, override)
        elif way.startswith("tenant"):
            request = msgspec.convert(targets[way.removeprefix("tenant ")], RollbackRequest)
            await roll_back_tenant(store, actor, tenant.id, request, ANYTHING, None, override)
        else:
            await back(store, actor, tenant, override=override, **targets[way])

    before = await actions(store, tenant)
    with pytest.raises(VersionQuarantined, match=r"empty lists.*lift the quarantine.*X-Override-Quarantine") as caught:
        await apply(None)
    named = quarantined_in(caught.value)
    assert [(each.document, each.version, each.by) for each in named] == [("config", versions[1], "ann")]
    assert version_of(await put(store, actor, tenant, config(3))) == versions[2]
    assert await actions(store, tenant) == before

    await apply("the fix is out")
    current = await read_document(store, tenant.id, CONFIG)
    assert current.version.etag == versions[1]
    assert current.version.quarantined is not None
    assert json.loads(bytes((await newest(store, tenant)).extra))["quarantine_override"] == "the fix is out"


async def test_an_override_counts_once_and_lifting_for_good(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await put_second(store, actor, tenant, "this once")
    await put(store, actor, tenant, config(3))
    with pytest.raises(VersionQuarantined):
        await put_second(store, actor, tenant)

    await lift_quarantine(store, actor, tenant.id, CONFIG, versions[1])
    assert await put_second(store, actor, tenant) == versions[1]
    assert "quarantine_override" not in json.loads(bytes((await newest(store, tenant)).extra))


async def test_an_override_of_what_is_not_under_quarantine_is_not_recorded_as_one(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await back(store, actor, tenant, to=versions[0], override="just in case")

    assert "quarantine_override" not in json.loads(bytes((await newest(store, tenant)).extra))


async def test_what_is_current_may_be_put_there_and_stays_live_with_a_warning(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    outcome = await mark(store, actor, tenant, versions[2])

    assert (outcome.changed, outcome.current) == (True, True)
    assert [each.code for each in outcome.warnings] == ["CURRENT_QUARANTINED"]
    same = await put(store, actor, tenant, config(3))
    assert not same.changed
    assert same.pointer is not None
    assert same.pointer.version.quarantined is not None
    assert not (await back(store, actor, tenant, to=versions[2])).changed
    assert not (await lift_quarantine(store, actor, tenant.id, CONFIG, versions[2])).warnings


async def test_preconditions_and_a_freeze_are_judged_first(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    with pytest.raises(VersionMismatch):
        await back(store, actor, tenant, to=versions[1], preconditions=Preconditions(if_revision=2))
    await update_tenant(store, actor, tenant.id, TenantSettings(frozen=True))
    with pytest.raises(Frozen):
        await put_second(store, actor, tenant, "the fix is out")
    assert (await back(store, actor, tenant, to=versions[0], quarantine=True)).changed
    assert (await mark(store, actor, tenant, versions[0])).changed


async def test_a_rollback_can_put_what_it_leaves_under_quarantine(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    outcome = await back(store, actor, tenant, to=versions[0], quarantine=True, reason="home page empty")

    assert [each.code for each in outcome.warnings] == ["QUARANTINED"]
    assert versions[2] in outcome.warnings[0].detail
    assert (await actions(store, tenant))[-2:] == ["config.rollback", "config.quarantine"]
    found = (await read_version(store, tenant.id, CONFIG, versions[2])).quarantined
    assert found is not None
    assert (found.by, found.reason) == ("ann", "home page empty")
    with pytest.raises(VersionQuarantined, match="home page empty"):
        await put(store, actor, tenant, config(3))


async def test_a_rollback_that_leaves_what_is_under_quarantine_keeps_its_first_reason(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await mark(store, actor, tenant, versions[2])

    outcome = await back(store, actor, tenant, to=versions[0], quarantine=True, reason="again")

    assert [each.code for each in outcome.warnings] == ["QUARANTINED"]
    assert (await actions(store, tenant))[-2:] == ["config.quarantine", "config.rollback"]
    assert {each.reason for each in await list_quarantined(store, tenant.id)} == {"empty lists"}


async def test_a_rollback_without_that_wish_quarantines_nothing(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    outcome = await back(store, actor, tenant, to=versions[0])

    assert outcome.warnings == []
    assert [each.version for each in await list_quarantined(store, tenant.id)] == [versions[1]]


async def test_where_nothing_moves_nothing_is_put_under_quarantine_and_a_warning_says_so(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    outcome = await back(store, actor, tenant, to=versions[2], quarantine=True)

    assert (outcome.changed, [each.code for each in outcome.warnings]) == (False, ["NOTHING_QUARANTINED"])
    assert [each.version for each in await list_quarantined(store, tenant.id)] == [versions[1]]


async def test_a_rollback_that_is_refused_quarantines_nothing(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    for version in (versions[1], "0" * 64):
        with pytest.raises((VersionQuarantined, VersionNotFound)):
            await back(store, actor, tenant, quarantine=True, to=version)

    assert [each.version for each in await list_quarantined(store, tenant.id)] == [versions[1]]


async def test_a_repeated_rollback_with_a_key_quarantines_once_and_a_key_is_free_after_a_refusal(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    for _ in range(2):
        await back(store, actor, tenant, key="k", steps=2, quarantine=True)
    await lift_quarantine(store, actor, tenant.id, CONFIG, versions[2])
    retry = await back(store, actor, tenant, key="k", steps=2, quarantine=True)
    assert (retry.changed, version_of(retry)) == (False, versions[0])
    assert (await actions(store, tenant)).count("config.quarantine") == 2
    with pytest.raises(Unprocessable, match="another request"):
        await back(store, actor, tenant, key="k", steps=2)

    with pytest.raises(VersionQuarantined):
        await back(store, actor, tenant, key="k2", to=versions[1])
    assert (await back(store, actor, tenant, key="k2", to=versions[1], override="tested")).changed


async def test_a_tenant_wide_rollback_quarantines_every_version_that_it_leaves(
    store: SqlControlStore, actor: Actor, tenant: Tenant
) -> None:
    await put(store, actor, tenant, config(1))
    await put(store, actor, tenant, b"[]", ref=RULES)
    left = [
        version_of(await put(store, actor, tenant, config(2))),
        version_of(await put(store, actor, tenant, manifest("a"), ref=HOME)),
    ]

    outcome = await roll_back_tenant(store, actor, tenant.id, RollbackRequest(revision=2, quarantine=True), ANYTHING)

    assert [each.code for each in outcome.warnings] == ["QUARANTINED"] * 2
    found = await list_quarantined(store, tenant.id)
    assert {(each.name, each.version) for each in found} == {("config", left[0]), ("manifest/home", left[1])}
    assert {each.reason for each in found} == {"moved away from by a rollback"}
    with pytest.raises(VersionQuarantined, match=r"\(and 1 more, see quarantined\)") as caught:
        await roll_back_tenant(store, actor, tenant.id, RollbackRequest(revision=4), ANYTHING)
    assert [each.name for each in quarantined_in(caught.value)] == ["config", "manifest/home"]
    marks = [entry.quarantined for entry in await read_history(store, tenant.id, 10, None)]
    assert marks == [[], ["config", "manifest/home"], ["config"], [], []]
    again = await roll_back_tenant(store, actor, tenant.id, RollbackRequest(revision=4), ANYTHING, None, "all good")
    assert again.changed


async def test_to_quarantine_what_was_called_good_is_not_passed_over_in_silence(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    """A step too many, and the good version is the one that was moved away from."""
    for revision in (1, 3):
        await label_revision(store, actor, tenant.id, revision, "known_good")
    await put(store, actor, tenant, config(4))
    first = await back(store, actor, tenant, key="one", steps=1, quarantine=True)
    assert (version_of(first), [each.code for each in first.warnings]) == (versions[2], ["QUARANTINED"])

    second = await back(store, actor, tenant, to=versions[0], quarantine=True)

    assert [each.code for each in second.warnings] == ["QUARANTINED", "KNOWN_GOOD_QUARANTINED"]
    assert f"{versions[2]} is the one of revision 3, which is labelled known_good" in second.warnings[1].detail
    assert f"DELETE …/versions/{versions[2]}/quarantine" in second.warnings[1].detail


async def test_known_good_passes_over_what_was_found_to_be_bad_since(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await put(store, actor, tenant, b"[]", ref=RULES)
    await put(store, actor, tenant, b'[{"action": "block", "target_type": "tag", "target_key": "x"}]', ref=RULES)
    for revision in (1, 2, 4):
        await label_revision(store, actor, tenant.id, revision, "known_good")
    await mark(store, actor, tenant, versions[2])

    one = await back(store, actor, tenant, to="known_good")
    assert version_of(one) == versions[0]
    assert [each.code for each in one.warnings] == ["KNOWN_GOOD_PASSED_OVER"]
    assert "Revision 4" in one.warnings[0].detail
    assert "(and 1 older ones)" in one.warnings[0].detail
    every = await roll_back_tenant(store, actor, tenant.id, RollbackRequest(to="known_good"), ANYTHING)
    assert [moved.document for moved in every.moved] == ["rules"]
    assert [each.code for each in every.warnings] == ["KNOWN_GOOD_PASSED_OVER"]


async def test_known_good_of_one_document_asks_only_about_that_one(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    rules = version_of(await put(store, actor, tenant, b"[]", ref=RULES))
    for revision in (1, 4):
        await label_revision(store, actor, tenant.id, revision, "known_good")
    await mark(store, actor, tenant, rules, RULES)
    await put(store, actor, tenant, config(9))

    outcome = await back(store, actor, tenant, to="known_good")
    assert (version_of(outcome), outcome.warnings) == (versions[2], [])
    every = await roll_back_tenant(store, actor, tenant.id, RollbackRequest(to="known_good"), ANYTHING)
    assert [(moved.document, moved.to_version) for moved in every.moved] == [("config", versions[0]), ("rules", None)]


async def test_known_good_is_refused_when_every_labelled_state_is_bad(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    await label_revision(store, actor, tenant.id, 2, "known_good")

    with pytest.raises(VersionQuarantined):
        await back(store, actor, tenant, to="known_good")
    assert version_of(await back(store, actor, tenant, to="known_good", override="better than this")) == versions[1]


async def test_an_operators_statement_is_never_blocked_but_the_history_shows_it(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str], database_url: str
) -> None:
    statement = (
        "update tenant_configs_current set updated_by_sub = 'break-glass', updated_at = now(), config_version_id = "
        f"(select id from tenant_config_versions where etag = '{versions[1]}') where tenant_id = '{tenant.id}'"
    )
    await asyncio.to_thread(by_hand, database_url, statement)

    assert (await read_document(store, tenant.id, CONFIG)).version.etag == versions[1]
    entry = (await read_history(store, tenant.id, 1, None))[0]
    assert (entry.actor_type, entry.quarantined) == ("break-glass", ["config"])
    assert (await back(store, actor, tenant, to=versions[2])).changed
    with pytest.raises(VersionQuarantined):
        await back(store, actor, tenant, revision=4)


async def test_a_quarantine_is_of_one_document_of_one_tenant(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    other = await create_tenant(store, clock, actor, "other")
    for pop in (2, 3, 2):
        assert (await put(store, actor, other, config(pop))).changed
    record = AuditRecord(action="rules.quarantine", entity_type="rules_version", entity_id=versions[0])
    async with store.changing(tenant.id, actor) as transaction:
        await transaction.quarantine(RULES, versions[0], "of the rules", record)

        await transaction.quarantine(RULES, versions[1], "of the rules", record)

    assert (await back(store, actor, tenant, to=versions[0])).changed
    await mark(store, actor, other, versions[1])
    await lift_quarantine(store, actor, other.id, CONFIG, versions[1])
    assert await list_quarantined(store, other.id) == []
    assert len(await list_quarantined(store, tenant.id)) == 3
    await lift_quarantine(store, actor, tenant.id, CONFIG, versions[1])
    assert {(each.name, each.version) for each in await list_quarantined(store, tenant.id)} == {
        ("rules", versions[0]),
        ("rules", versions[1]),
    }


async def test_of_64_that_bring_it_back_at_once_none_succeeds(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    before = await actions(store, tenant)
    tries = [
        put_second(store, actor, tenant) if n % 2 else back(store, actor, tenant, revision=2, key=f"k{n}")
        for n in range(64)
    ]

    found = await asyncio.gather(*tries, return_exceptions=True)

    assert [type(each) for each in found] == [VersionQuarantined] * 64
    assert version_of(await put(store, actor, tenant, config(3))) == versions[2]
    assert await actions(store, tenant) == before


async def test_a_quarantine_and_a_put_at_once_come_one_after_the_other(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    """Whichever is first: a PUT after the quarantine is refused, one before it leaves a current version with a mark."""
    for _ in range(12):
        await lift_quarantine(store, actor, tenant.id, CONFIG, versions[1])
        await put(store, actor, tenant, config(3))
        start = len(await actions(store, tenant))

        applied, marked = await asyncio.gather(
            put_second(store, actor, tenant), mark(store, actor, tenant, versions[1]), return_exceptions=True
        )

        assert isinstance(marked, QuarantineOutcome)
        current = await read_document(store, tenant.id, CONFIG)
        happened = (await actions(store, tenant))[start:]
        if isinstance(applied, VersionQuarantined):
            assert (current.version.etag, happened) == (versions[2], ["config.quarantine"])
            assert not marked.current
        else:
            assert (current.version.etag, happened) == (versions[1], ["config.update", "config.quarantine"])
            assert marked.current
            assert current.version.quarantined == marked.quarantined


async def test_an_audit_entry_about_a_quarantine_is_no_way_back(
    store: SqlControlStore, actor: Actor, tenant: Tenant, versions: Sequence[str]
) -> None:
    with pytest.raises(Unprocessable, match="config_version"):
        await back(store, actor, tenant, audit_id=(await newest(store, tenant)).id)
