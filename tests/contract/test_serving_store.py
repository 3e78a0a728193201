"""What replicas read: heads, keys, documents, rows; the same on both databases."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from random import Random
from typing import get_args

import pytest
from sqlalchemy import ColumnElement, literal_column, update

from recsys.control.invalidate import Target, invalidate
from recsys.control.load_rows import Load, LoadOutcome, load_rows
from recsys.control.manage_keys import create_key, list_keys, revoke_key
from recsys.control.manage_tenants import create_tenant, update_tenant
from recsys.control.read_audit import read_audit
from recsys.control.read_document import read_document
from recsys.control.row_file import LoadFormat
from recsys.domain.access import Actor, Role
from recsys.domain.api_key import hash_key
from recsys.domain.audit import AuditRecord
from recsys.domain.catalogue import MOST_PAIR_BYTES, Dataset, LoadMode, Popularity, Row
from recsys.domain.document import DocumentRef
from recsys.domain.errors import Frozen, InvalidRequest, NotFound, NotReady, TenantNotFound, Unprocessable
from recsys.domain.ports import TenantHead
from recsys.domain.tenant import Tenant, TenantSettings
from recsys.storage import load as load_module
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database
from recsys.storage.schema import api_keys, surfaces, tenants
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock
from tests.support.documents import CONFIG, HOME, config, manifest, put, version_of

POPULARITY = [
    {"item_id": "b", "day": "2026-01-02", "score": 0.1},
    {"item_id": "B", "day": "2026-01-01", "score": 2},
    {"item_id": "é", "day": "2026-01-01", "score": 1e-300},
]


async def load(
    store: SqlControlStore,
    actor: Actor,
    tenant: Tenant,
    dataset: Dataset,
    rows: list[dict[str, object]] | bytes,
    *,
    mode: LoadMode = "upsert",
    format_: LoadFormat = "ndjson",
) -> LoadOutcome:
    data = rows if isinstance(rows, bytes) else "\n".join(json.dumps(row) for row in rows).encode()
    return await load_rows(store, FakeClock(), actor, tenant.id, Load("home", dataset, format_, mode), io.BytesIO(data))


async def head_of(serving_store: SqlServingStore, tenant: Tenant) -> TenantHead:
    return next(head for head in (await serving_store.overview()).heads if head.tenant.id == tenant.id)


async def test_rows_come_back_as_they_were_loaded(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    items: list[dict[str, object]] = [
        {"item_id": "b", "title": "Bé", "tags": ["x"], "brand": "acme", "category": "c", "price": 0.1},
        {"item_id": "B", "created_at": "2026-01-01T01:00:00+01:00", "attributes": {"a": [1, None]}},
    ]
    covisits: list[dict[str, object]] = [{"item_id": "b", "neighbor_id": "B", "day": "2026-01-01", "score": 3.5}]
    await load(store, actor, tenant, "items", items)
    await load(store, actor, tenant, "popularity", POPULARITY)
    outcome = await load(store, actor, tenant, "cooc", covisits)

    rows = await serving_store.surface_rows(tenant.id, "home")

    assert (outcome.rows, outcome.data_revision, rows.data_revision) == (1, 3, 3)
    found = {item.item_id: item for item in rows.items}
    assert found["b"].all_tags() == ["brand:acme", "category:c", "x"]
    assert (found["b"].price, found["b"].title) == (0.1, "Bé")
    assert found["B"].created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert found["B"].attributes == {"a": [1, None]}
    assert set(rows.popularity) == {
        ("b", date(2026, 1, 2), 0.1),
        ("B", date(2026, 1, 1), 2.0),
        ("é", date(2026, 1, 1), 1e-300),
    }
    assert set(rows.covisits) == {("b", "B", date(2026, 1, 1), 3.5)}
    assert (await head_of(serving_store, tenant)).surfaces == {"home": 3}


async def test_upsert_keeps_what_it_does_not_name_and_replace_does_not(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    await load(store, actor, tenant, "popularity", POPULARITY)
    update: list[dict[str, object]] = [{"item_id": "b", "day": "2026-01-02", "score": 9}]

    await load(store, actor, tenant, "popularity", update)
    assert len((await serving_store.surface_rows(tenant.id, "home")).popularity) == 3
    await load(store, actor, tenant, "popularity", update, mode="replace")

    assert (await serving_store.surface_rows(tenant.id, "home")).popularity == [("b", date(2026, 1, 2), 9.0)]


async def test_a_file_with_faults_names_each_line_and_writes_nothing(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    lines = [
        b'{"item_id": "a", "day": "2026-01-01", "score": 1}',
        b"",
        b'{"item_id": "a", "day": "2026-01-01", "score": 2}',
        b'{"item_id": "b", "day": "yesterday", "score": 1}',
        b'{"item_id": "c", "day": "2026-01-01", "scor": 1}',
        b'{"item_id": "d", "day": "2026-01-01", "score": -1}',
        b'{"item_id": "e", "item_id": "f", "day": "2026-01-01", "score": 1}',
        b'{"item_id": "\\ud800", "day": "2026-01-01", "score": 1}',
        b"{",
        b"\xff",
        b'{"item_id": "g", "day": "2026-01-01", "score": 1, "x": ' + b"[" * 100_000,
    ]

    with pytest.raises(InvalidRequest) as caught:
        await load(store, actor, tenant, "popularity", b"\n".join(lines))

    assert {fault.line for fault in caught.value.faults} == {3, 4, 5, 6, 7, 8, 9, 10, 11}
    assert next(fault for fault in caught.value.faults if fault.line == 5).did_you_mean == "score"
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 0
    assert (await serving_store.surface_rows(tenant.id, "home")).popularity == []


async def test_many_and_long_rows_are_written_in_several_steps(
    store: SqlControlStore,
    serving_store: SqlServingStore,
    actor: Actor,
    tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_module, "CHUNK_ROWS", 4)
    monkeypatch.setattr(load_module, "CHUNK_CHARACTERS", 1_000)
    rows: list[dict[str, object]] = [{"item_id": f"i{n}", "title": "x" * (n % 3 * 400)} for n in range(30)]
    assert (await load(store, actor, tenant, "items", rows)).rows == 30
    found = await serving_store.surface_rows(tenant.id, "home")
    assert {item.item_id for item in found.items} == {row["item_id"] for row in rows}


async def test_a_load_that_breaks_off_after_the_first_rows_writes_nothing(
    store: SqlControlStore,
    serving_store: SqlServingStore,
    actor: Actor,
    tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_module, "CHUNK_ROWS", 2)

    def rows() -> Iterator[Row]:
        yield from (Popularity(item_id=f"i{n}", day=date(2026, 1, 1), score=1) for n in range(5))
        raise OSError("the file cannot be read any more")

    record = AuditRecord(action="popularity.load", entity_type="popularity", entity_id="home")
    with pytest.raises(NotReady):
        await store.load(tenant.id, "home", "popularity", rows(), "upsert", actor, record)
    assert (await serving_store.surface_rows(tenant.id, "home")).popularity == []
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 0


async def test_a_load_into_a_frozen_tenant_writes_nothing(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    await load(store, actor, tenant, "popularity", POPULARITY)
    before = await serving_store.surface_rows(tenant.id, "home")
    await update_tenant(store, actor, tenant.id, TenantSettings(frozen=True))
    for mode in get_args(LoadMode):
        with pytest.raises(Frozen):
            await load(store, actor, tenant, "popularity", POPULARITY[:1], mode=mode)
    assert await serving_store.surface_rows(tenant.id, "home") == before
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 1


@pytest.mark.parametrize("dataset", ["popularity", "cooc"])
async def test_a_day_more_than_a_day_ahead_of_the_clock_is_refused(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant, dataset: Dataset
) -> None:
    def row(day: str) -> dict[str, object]:
        other = {"neighbor_id": "b"} if dataset == "cooc" else {}
        return {"item_id": "a", **other, "day": day, "score": 1}

    days = ["2025-12-31", "2026-01-02", "2026-01-03", "2062-01-01", "9999-12-31"]  # the clock begins at 2026-01-01
    assert (await load(store, actor, tenant, dataset, [row(day) for day in days[:2]])).rows == 2
    with pytest.raises(InvalidRequest) as caught:
        await load(store, actor, tenant, dataset, [row(day) for day in days])
    assert [(fault.line, fault.pointer) for fault in caught.value.faults] == [(3, "/day"), (4, "/day"), (5, "/day")]
    assert "ahead of the service's clock; the latest day is now 2026-01-02 (UTC)" in caught.value.faults[0].detail
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 1


async def test_the_longest_pair_of_ids_can_be_stored(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    letters = Random(1)  # what repeats would be compressed, and so be shorter
    ids = ["".join(chr(letters.randrange(0x20000, 0x2A6DF)) for _ in range(count)) for count in (512, 113)]
    assert sum(len(each.encode()) for each in ids) == MOST_PAIR_BYTES
    row = {"item_id": ids[0], "neighbor_id": ids[1], "day": "2026-01-01", "score": 1}
    load_ = Load("s" * 64, "cooc", "ndjson")
    await load_rows(store, FakeClock(), actor, tenant.id, load_, io.BytesIO(json.dumps(row).encode()))
    rows = await serving_store.surface_rows(tenant.id, "s" * 64)
    assert [covisit[:2] for covisit in rows.covisits] == [tuple(ids)]


async def test_csv_is_understood_too(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    text = 'item_id,title,tags,price,attributes\na,"A, quoted",x|y,1.5,"{""k"": 1}"\nb,,,,\n'

    await load(store, actor, tenant, "items", text.encode(), format_="csv")

    rows = await serving_store.surface_rows(tenant.id, "home")
    (a, b) = sorted(rows.items, key=lambda item: item.item_id)
    assert (a.title, a.tags, a.price, a.attributes) == ("A, quoted", ["x", "y"], 1.5, {"k": 1})
    assert (b.title, b.tags, b.price, b.attributes) == (None, [], None, None)


@pytest.mark.parametrize(
    "text",
    [
        b"item_id,prise\na,1\n",
        b"item_id,title\nx\0y,abc\n",
        b"item_id,created_at\nx,0001-01-01T00:00:00+14:00\n",
        b'item_id,attributes\nx,"{""a"": 9007199254740993}"\n',
        b"item_id,price\na,cheap\n",
        b"item_id,price\na,1,2\n",
        b"item_id\n\xff\n",
        b"title\nx\n",
    ],
)
async def test_wrong_csv_names_the_line(store: SqlControlStore, actor: Actor, tenant: Tenant, text: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await load(store, actor, tenant, "items", text, format_="csv")

    assert caught.value.faults[0].line == 2


async def test_the_documents_of_a_moment(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    assert (await serving_store.documents(tenant.id)).texts == {}
    one = version_of(await put(store, actor, tenant, config(1)))
    two = version_of(await put(store, actor, tenant, manifest("a"), ref=HOME))

    documents = await serving_store.documents(tenant.id)

    assert documents.revision == 2
    assert documents.texts[CONFIG] == '{"weights":{"pop":1}}'
    assert set(documents.texts) == {CONFIG, HOME}
    assert (documents.pointers.config, documents.pointers.manifests) == (one, {"home": two})
    with pytest.raises(TenantNotFound):
        await serving_store.documents("00000000-0000-0000-0000-000000000000")


async def test_keys_come_and_go(
    store: SqlControlStore, serving_store: SqlServingStore, clock: FakeClock, actor: Actor, tenant: Tenant
) -> None:
    key, secret = await create_key(store, clock, actor, tenant.id, "shop", Role.SERVING)
    platform, _ = await create_key(store, clock, actor, None, "ops", Role.PLATFORM)
    assert key.key_hash == hash_key(secret)
    assert {each.id for each in (await serving_store.overview()).keys} == {key.id, platform.id}
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 1

    await revoke_key(store, clock, actor, tenant.id, key.id)
    await revoke_key(store, clock, actor, None, platform.id)

    assert (await serving_store.overview()).keys == []
    assert (await list_keys(store, tenant.id))[0].revoked_at is not None
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 2
    with pytest.raises(NotFound):
        await revoke_key(store, clock, actor, tenant.id, platform.id)
    for entry in await read_audit(store, tenant.id, 10, None):
        assert secret not in repr(entry)


async def test_revoking_a_key_again_changes_nothing(
    store: SqlControlStore, serving_store: SqlServingStore, clock: FakeClock, actor: Actor, tenant: Tenant
) -> None:
    for owner, role in ((tenant.id, Role.VIEWER), (None, Role.PLATFORM)):
        key_id = (await create_key(store, clock, actor, owner, "x", role))[0].id
        await revoke_key(store, clock, actor, owner, key_id)
        keys, audit = await list_keys(store, owner), await read_audit(store, owner, 10, None)
        await revoke_key(store, clock, actor, owner, key_id.upper())  # and an id is the same in either case
        assert await list_keys(store, owner) == keys
        assert await read_audit(store, owner, 10, None) == audit
    assert (await head_of(serving_store, tenant)).tenant.data_revision == 2


async def test_platform_keys_and_tenant_keys_have_their_own_roles(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant
) -> None:
    with pytest.raises(Unprocessable):
        await create_key(store, clock, actor, tenant.id, "x", Role.PLATFORM)
    with pytest.raises(Unprocessable):
        await create_key(store, clock, actor, None, "x", Role.ADMIN)


async def test_tenants_are_listed_by_code_point_and_found_by_either_name(
    store: SqlControlStore, clock: FakeClock, actor: Actor, tenant: Tenant
) -> None:
    for name in ("Zoo", "apple", "Demo"):
        await create_tenant(store, clock, actor, name)
    async with store.reading() as reader:
        assert [each.external_id for each in await reader.tenants(10, None)] == ["Demo", "Zoo", "apple", "demo"]
        assert [each.external_id for each in await reader.tenants(2, "Demo")] == ["Zoo", "apple"]
        assert (await reader.tenant(tenant.id.upper())).external_id == "demo"
        with pytest.raises(TenantNotFound):
            await reader.tenant("nobody")
    with pytest.raises(Unprocessable):
        await create_tenant(store, clock, actor, "demo")
    with pytest.raises(InvalidRequest):
        await create_tenant(store, clock, actor, tenant.id)


async def test_settings_and_invalidations_raise_what_replicas_watch(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    await update_tenant(store, actor, tenant.id, TenantSettings(status="suspended"))
    first = await invalidate(store, actor, tenant.id, ["config"], None)
    second = await invalidate(store, actor, tenant.id, ["rules", "popularity"], "home")

    head = await head_of(serving_store, tenant)

    assert (head.tenant.status, head.tenant.data_revision, head.tenant.invalidations) == ("suspended", 1, 2)
    assert (second.number, first.number) == (2, 1)
    assert second.event_id > first.event_id
    actions = [entry.action for entry in await read_audit(store, tenant.id, 10, None)]
    assert actions == ["cache.invalidate", "cache.invalidate", "tenant.update", "tenant.create"]


async def test_every_load_gets_a_name_that_rows_and_heads_tell(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    seen = []
    for mode in ("upsert", "upsert", "replace"):
        await load(store, actor, tenant, "popularity", POPULARITY, mode=mode)
        rows, head = await serving_store.surface_rows(tenant.id, "home"), await head_of(serving_store, tenant)
        assert rows.load_id is not None
        assert head.load_ids == {"home": rows.load_id}
        seen.append(rows.load_id)
    assert len(set(seen)) == 3  # the same rows again are another load: after a restore they may not be the same


async def test_a_load_that_fails_leaves_the_name_of_the_one_before(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    await load(store, actor, tenant, "popularity", POPULARITY)
    before = await head_of(serving_store, tenant)
    with pytest.raises(InvalidRequest):
        await load(store, actor, tenant, "popularity", [*POPULARITY, {"item_id": ""}])

    assert (await head_of(serving_store, tenant)).load_ids == before.load_ids


async def test_what_was_loaded_before_loads_had_names_has_none(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant, database: Database
) -> None:
    await load(store, actor, tenant, "popularity", POPULARITY)
    async with database.write("test") as connection:
        await connection.execute(surfaces.update().values(load_id=None))

    assert (await serving_store.surface_rows(tenant.id, "home")).load_id is None
    assert (await head_of(serving_store, tenant)).load_ids == {}


async def test_a_surface_without_rows_has_no_load(serving_store: SqlServingStore, tenant: Tenant) -> None:
    rows = await serving_store.surface_rows(tenant.id, "nowhere")

    assert (rows.data_revision, rows.load_id, list(rows.items)) == (0, None, [])


async def test_documents_say_since_when_manifests_are_current_and_which_artifacts_are_to_be_read_again(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant, clock: FakeClock
) -> None:
    pdp = DocumentRef("manifest", "pdp")
    await put(store, actor, tenant, manifest("a"), ref=HOME)
    clock.pass_by(seconds=5)
    await put(store, actor, tenant, manifest("a", "pdp"), ref=pdp)

    found = await serving_store.documents(tenant.id)
    assert found.manifests_moved_at == {
        "home": await moved_at(store, tenant, HOME),
        "pdp": await moved_at(store, tenant, pdp),
    }
    assert found.manifests_moved_at["home"] < found.manifests_moved_at["pdp"]
    assert found.read_again == {}
    asked: list[tuple[list[Target], str | None, dict[str, int]]] = [
        (["config", "popularity"], "home", {"home": 1}),
        (["config"], None, {"home": 1}),
        (["popularity"], "elsewhere", {"home": 1}),
        (["popularity"], None, {"home": 4, "pdp": 4}),
    ]
    for targets, surface, expected in asked:
        await invalidate(store, actor, tenant.id, targets, surface)
        assert (await serving_store.documents(tenant.id)).read_again == expected


async def moved_at(store: SqlControlStore, tenant: Tenant, ref: DocumentRef) -> datetime:
    return (await read_document(store, tenant.id, ref)).updated_at


async def test_items_alone_are_those_of_all_rows(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    await load(store, actor, tenant, "items", [{"item_id": "b", "tags": ["x"]}, {"item_id": "é", "price": 2}])
    await load(store, actor, tenant, "popularity", POPULARITY)
    whole = await serving_store.surface_rows(tenant.id, "home")
    alone = await serving_store.surface_rows(tenant.id, "home", items_only=True)

    assert sorted(alone.items, key=lambda each: each.item_id) == sorted(whole.items, key=lambda each: each.item_id)
    assert (alone.data_revision, alone.load_id) == (whole.data_revision, whole.load_id)
    assert len(alone.items) > 0
    assert len(alone.popularity) == 0


async def test_a_key_that_cannot_be_read_opens_nothing_and_the_others_open_what_they_did(
    store: SqlControlStore,
    serving_store: SqlServingStore,
    clock: FakeClock,
    actor: Actor,
    tenant: Tenant,
    database: Database,
) -> None:
    """Written by hand with a role that there is not, or by a later release with one that this does not know."""
    good, _ = await create_key(store, clock, actor, tenant.id, "shop", Role.SERVING)
    bad, _ = await create_key(store, clock, actor, tenant.id, "by hand", Role.SERVING)
    async with database.write() as connection:
        await connection.execute(update(api_keys).where(api_keys.c.id == bad.id).values(role="Admin"))

    overview = await serving_store.overview()

    assert [key.id for key in overview.keys] == [good.id]
    assert [head.tenant.id for head in overview.heads] == [tenant.id]
    assert [key.role for key in await list_keys(store, tenant.id)] == ["serving", "Admin"]
    await revoke_key(store, clock, actor, tenant.id, bad.id)
    assert [key.revoked_at is None for key in await list_keys(store, tenant.id)] == [True, False]


async def test_a_tenant_whose_row_cannot_be_read_stays_as_it_was_and_harms_no_other(
    store: SqlControlStore,
    serving_store: SqlServingStore,
    clock: FakeClock,
    actor: Actor,
    tenant: Tenant,
    database: Database,
) -> None:
    other = await create_tenant(store, clock, actor, "other", "Other")
    before = await head_of(serving_store, tenant)
    row = update(tenants).where(tenants.c.id == tenant.id)
    async with database.write() as connection:
        if not database.is_postgresql:  # written before there was this
            await connection.exec_driver_sql("drop trigger tenants_created_at_updated")
        await connection.execute(row.values(created_at=NO_TIME))
    await load(store, actor, other, "popularity", POPULARITY)
    await load(store, actor, tenant, "popularity", POPULARITY)

    assert (await head_of(serving_store, other)).surfaces == {"home": 1}
    assert await head_of(serving_store, tenant) == before
    async with database.write() as connection:
        await connection.execute(row.values(created_at=tenant.created_at))
    assert (await head_of(serving_store, tenant)).surfaces == {"home": 1}


async def test_a_head_says_when_its_revision_was_made(
    store: SqlControlStore, serving_store: SqlServingStore, actor: Actor, tenant: Tenant
) -> None:
    """So that a database is told apart from its restored self that was changed as often since."""
    found = [await head_of(serving_store, tenant)]
    for number in (1, 2):
        await put(store, actor, tenant, config(number))
        found.append(await head_of(serving_store, tenant))
        assert found[-1] == await head_of(serving_store, tenant)

    assert [head.tenant.revision for head in found] == [0, 1, 2]
    assert found[0].moved_at is None
    assert len({head.moved_at for head in found}) == 3


NO_TIME: ColumnElement[datetime] = literal_column("'-infinity'")
