"""Writing rows by statements that are made once: building a statement costs more than executing it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import bindparam, delete, insert, update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import BindParameter, ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.sql.dml import UpdateBase

Values: TypeAlias = "Mapping[str, object]"
"""Column names and what stands there."""

Write: TypeAlias = "tuple[UpdateBase, Values]"
"""A statement and its parameters."""


async def write(connection: AsyncConnection, *writes: Write) -> None:
    """Do what need not see each other's effects, in any order; on PostgreSQL in one round trip.

    Only writes of different tables go together: the same parameter cannot be two things.
    """
    statements = tuple(statement for statement, _ in writes)
    tables = {statement.table for statement in statements}
    if connection.dialect.name == "postgresql" and len(tables) == len(statements):
        given = {name: value for _, values in writes for name, value in values.items()}
        await connection.execute(_together(statements), given)
        return
    for statement, values in writes:
        await connection.execute(statement, values)


def added(table: Table, values: Values) -> Write:
    """A new row."""
    return _insert(table, tuple(values)), _parameters(table, values)


def changed(table: Table, address: Values, values: Values) -> Write:
    """Other values in the row at this address."""
    return _update(table, tuple(address), tuple(values)), _parameters(table, {**address, **values})


def removed(table: Table, address: Values) -> Write:
    """The row at this address is gone."""
    return _delete(table, tuple(address)), _parameters(table, address)


@cache
def _insert(table: Table, names: tuple[str, ...]) -> UpdateBase:
    return insert(table).values({name: _parameter(table, name) for name in names})


@cache
def _update(table: Table, address: tuple[str, ...], names: tuple[str, ...]) -> UpdateBase:
    return update(table).where(*_at(table, address)).values({name: _parameter(table, name) for name in names})


@cache
def _delete(table: Table, address: tuple[str, ...]) -> UpdateBase:
    return delete(table).where(*_at(table, address))


@cache
def _together(statements: tuple[UpdateBase, ...]) -> UpdateBase:
    *others, last = statements
    return last.add_cte(*(other.cte(f"write_{number}") for number, other in enumerate(others)))


def _at(table: Table, address: tuple[str, ...]) -> list[ColumnElement[bool]]:
    return [table.c[name] == _parameter(table, name) for name in address]


def _parameter(table: Table, name: str) -> BindParameter[object]:
    return bindparam(_called(table, name), type_=table.c[name].type)


def _parameters(table: Table, values: Values) -> dict[str, object]:
    return {_called(table, name): value for name, value in values.items()}


def _called(table: Table, name: str) -> str:
    return f"{table.name}_{name}"
