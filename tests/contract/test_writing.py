"""Writes that go together, the same on both databases."""

from sqlalchemy import select

from recsys.domain.tenant import Tenant
from recsys.storage.engine import Database
from recsys.storage.schema import surfaces
from recsys.storage.writing import added, changed, removed, write


async def test_different_writes_of_one_table_each_have_their_own_row(database: Database, tenant: Tenant) -> None:
    home, cart, pdp = ({"tenant_id": tenant.id, "namespace": name} for name in ("home", "cart", "pdp"))
    async with database.write() as connection:
        for address in (home, cart):
            await write(connection, added(surfaces, address | {"data_revision": 1}))
        await write(
            connection,
            changed(surfaces, home, {"data_revision": 2}),
            removed(surfaces, cart),
            added(surfaces, pdp | {"data_revision": 3}),
        )
    async with database.read() as connection:
        found = (await connection.execute(select(surfaces.c.namespace, surfaces.c.data_revision))).all()
    assert {tuple(row) for row in found} == {("home", 2), ("pdp", 3)}
